-- ------------------------------------------------------------------- the batch

local function apply_once(change)
  local known_as = known_by(change)
  if not known_as then return apply[change[KIND]](change) end
  -- Of a row of REST nothing: it would hide what came live within the same second.
  if change[SOURCE] == 'rest' then return 'duplicate' end
  -- A frame's last fingerprint is the one that rows leave (change.py).
  local is_row = change[KIND] == 'message' and known_as == #change[KNOWN_BY]
  if is_row and came_since and came_since(change) then return apply.message(change) end
  remember(change[REMEMBER])
  return is_row and 'duplicate of a row' or 'duplicate'
end

-- Keeps a refused change where a person can look at it: once, however often it comes.
local function set_aside(change, why)
  local mark = 'refused ' .. change[KNOWN_BY][1]
  if known[mark] or call('ZMSCORE', SEEN, mark)[1] then return end
  reject(why, change, change[KIND] == 'message' and change[RAW] or '')
  remember({ mark })
end

-- Returns a result, or nil and why the batch cannot go on.
local function result_of(change)
  wrote = false
  local fine, result = pcall(apply_once, change)
  if fine then
    for i = 1, #after_change do after_change[i](change) end
    return result
  end
  local why = words(result)
  if wrote or concerns_server(why) then return nil, why end
  local kept, problem = pcall(set_aside, change, why)
  if not kept then return nil, words(problem) end
  return 'refused ' .. why
end

-- Entries leave `events` only at its old end, and only while it is full. Where an
-- acknowledged one is gone and that is not why, it is not the Redis that acknowledged it.
local function rolled_back(acknowledged)
  if acknowledged == '' or #call('XRANGE', EVENTS, acknowledged, acknowledged) > 0 then
    return false
  end
  local first = call('XRANGE', EVENTS, '-', '+', 'COUNT', '1')[1]
  if not first or call('XLEN', EVENTS) < set.events_maxlen then return true end
  local function parts(id)
    local ms, n = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(n)
  end
  local ms, n = parts(first[1])
  local ack_ms, ack_n = parts(acknowledged)
  return ms < ack_ms or (ms == ack_ms and n < ack_n)
end

local problem = first_problem()
if problem then return redis.error_reply(problem) end
if rolled_back(ARGV[3]) then
  return redis.error_reply('ROLLBACK entry ' .. ARGV[3] .. ' of ' .. EVENTS .. ' is gone')
end

local changes = cmsgpack.unpack(ARGV[2])
look_up(changes)
local results, failure = {}, nil
for i = 1, #changes do
  results[i], failure = result_of(changes[i])
  if failure then break end
end
-- Also after a failure: what was applied before it is then whole, and known.
add_scores(SEEN, remembered)
for i = 1, #after_batch do after_batch[i]() end
if failure then return redis.error_reply(failure) end
trim_seen()
return { results, last_entry, concerned }

