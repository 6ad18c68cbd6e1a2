-- Applies a batch of one log's changes, in order, as one atomic step.
--
-- One script for each stream, in parts that script.py joins in its order: each returns
-- what it shares with those after it. Making them takes time, so that what is seldom
-- wanted is a function that makes the part at its first call. For `set` and a name (what
-- there is to know of the stream), and for `at` and a name (where that stands in a
-- change), script.py writes the value.
--
-- KEYS[1]  PREFIX:STREAM:events; all other keys share its stem, and so its slot
-- ARGV[1]  MessagePack: log id, number of the first change, subscription, window, host,
--          since or false, whether the sender may hold what is lacking before the first,
--          of each change its bytes
-- ARGV[2]  the changes (packed.lua)
-- ARGV[3]  there where permissions are to be checked first
--
-- Redis undoes nothing. So each change first reads and checks all that it will touch and
-- then writes; what is wrong with one change refuses that change alone. What is wrong with
-- the server ends the batch: what was applied before is whole, and known, and the change
-- in hand is taken back.
--
-- Returns 'applied', number of the last change, results, symbols of which a record
-- changed, how many rows took effect, and the coverage: since, until, subscription,
-- reader, holes (MessagePack); or 'behind' and the number of the last change that is
-- here; or 'foreign' and the host whose all this is.

local TRIM_EACH = 64 -- changes
local now, fetched = nil, 0

local function message(change)
  local first, by_row = seen.first_seen(change)
  local rest = change[at.source] == 'rest'
  -- Of a row of REST nothing: it would hide what came live within the same second.
  if rest and (first or by_row) then return 'duplicate' end
  local result = 'duplicate'
  if not first and (not by_row or state.came_since(change)) then
    result = state.message(change)
  else
    seen.remember(change[at.remember])
    if not first then result = 'duplicate of a row' end
  end
  if not rest then coverage.frame(change, first) end
  if change[at.source] ~= 'live'
    and (result == 'latest' or result == 'record' or result == 'none') then
    if rest then fetched = fetched + 1 end
    if now.holes ~= '' or coverage.pack_holes then holes().recovered() end
  end
  return result
end

-- Returns a result, or nil and why the batch cannot go on.
local function result_of(log, change, number)
  local kind, remembered, fine, result = change[at.kind], #seen.remembered, nil, nil
  local is_mark = kind ~= 'message' and kind ~= 'rejected'
  entry.in_hand.wrote, entry.in_hand.entry, entry.in_hand.kept = false, false, false
  if is_mark then
    fine, result = pcall(holes().marks[kind], log, change, number)
  else
    fine, result = pcall(kind == 'message' and message or refusal().rejected, change)
  end
  if fine then return result end
  local why = refusal().words(result)
  if not (is_mark or entry.in_hand.wrote or refusal().concerns_server(why)) then
    local kept, problem = pcall(refusal().refused, change, why)
    if kept then return 'refused ' .. why end
    why = refusal().words(problem)
  end
  refusal().take_back(remembered)
  return nil, why
end

local function apply_all(log, changes, stamp)
  local results, last, failure, problem = {}, log.position, nil, nil
  local done = math.min(math.max(0, log.position + 1 - log.first), #changes)
  for i = 1, done do results[i] = 'again' end
  if done == #changes then
    redis.call('EXPIRE', log.key, set.position_s)
    if now.stale == '' then return results, last end
  end
  seen.look_up(changes, done + 1)
  seen.tick(stamp)
  if log.first > log.position + 1 then holes().lacking(log, changes[1][at.t]) end
  for i = done + 1, #changes do
    results[i], failure = result_of(log, changes[i], log.first + i - 1)
    if failure then break end
    last = log.first + i - 1
  end
  -- Also after a failure: what was applied before it is then whole, and known. Where there
  -- is nothing of that, nothing is written, but of a gap announced or a `latest` to be made.
  problem = state.finish()
  local trims = math.floor(last / TRIM_EACH) > math.floor(log.position / TRIM_EACH)
  local kept, why = pcall(seen.write, trims)
  if not kept then problem = refusal().words(why) end
  if last > log.position or coverage.due then coverage.write(last) end
  failure = failure or problem
  if failure then server.refuse(failure) end
  return results, last
end

local function run()
  if ARGV[3] or not server.has_clock then permissions().check() end
  local id, first, subscription, window, host, since, may_hold, sizes =
    unpack(cmsgpack.unpack(ARGV[1]))
  local log = { id = id, first = first, subscription = subscription, window = window,
    since = since, key = '', position = -1 }
  local stamp = nil
  now, stamp = coverage.read(log)
  if now.upstream == '' then coverage.change('upstream', host) end
  if now.upstream ~= host then return { 'foreign', now.upstream } end
  if first > log.position + 1 and (may_hold or #sizes == 0) then
    return { 'behind', log.position }
  end
  local results, last = apply_all(log, packed.changes(sizes), stamp)
  return { 'applied', last, results, state.symbols, fetched, tonumber(now.since) or false,
    tonumber(now['until']) or false, now.subscription, now.reader, now.holes }
end

local fine, answer = pcall(run)
return fine and answer or redis.error_reply(refusal().words(answer))
