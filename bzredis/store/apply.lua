-- Applies a batch of one stream's changes, in order, as one atomic step.
--
-- KEYS[1]  PREFIX:STREAM:events; all other keys share its stem, and so its slot
-- ARGV[1]  settings, MessagePack (client.py: Settings)
-- ARGV[2]  the batch, a MessagePack array of changes (change.py)
-- ARGV[3]  the newest entry of `events` that was acknowledged to this writer, or ''
--
-- Redis undoes nothing. So each change first reads and checks all that it will touch and
-- then writes; what is wrong with one change refuses that change alone, and what is wrong
-- with the server or with the stream's own keys refuses the batch before any write.
--
-- Returns a result per change: 'latest', 'record', 'none' (its effect), 'unattributed',
-- 'duplicate', 'rejected', 'gap', or 'refused WHY'; then the newest entry of `events`.
-- Fails with 'ROLLBACK …' where the acknowledged entry is gone.

local set = cmsgpack.unpack(ARGV[1])
local stem = string.sub(KEYS[1], 1, -7) -- without 'events'
local EVENTS, SEEN, SYMBOLS = KEYS[1], stem .. 'seen', stem .. 'symbols'
local REJECTED, CHANGED = stem .. 'rejected', stem .. 'changed'
local call, format = redis.call, string.format

local wrote = false -- whether the change in hand has written anything
local function write(...)
  wrote = true
  return call(...)
end

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- ---------------------------------------------------------------- what may go wrong

local function refuse(why)
  error({ err = why })
end

local function words(problem)
  if type(problem) == 'table' then return problem.err or '?' end
  return problem
end

local function kind_of(key)
  return call('TYPE', key).ok
end

local function problem_with(key, wanted)
  local found = kind_of(key)
  if found ~= wanted and found ~= 'none' then
    return 'WRONGTYPE ' .. key .. ' holds a ' .. found .. ' where a ' .. wanted .. ' belongs'
  end
end

-- Every command that writes, on keys of each form: refused here, before any write.
local function forbidden()
  if not redis.acl_check_cmd then return nil end -- before Redis 7
  local latest, record = stem .. 'latest:A', stem .. 'record:A'
  local timeline, history = stem .. 'timeline:A', stem .. 'history:A'
  local owner, gone = stem .. 'owner:A', stem .. 'gone:A'
  local commands = {
    { 'XADD', EVENTS, '*', 'a', 'b' }, { 'XADD', REJECTED, '*', 'a', 'b' },
    { 'ZADD', SEEN, 0, 'a' }, { 'ZREMRANGEBYRANK', SEEN, 0, 0 },
    { 'ZADD', SYMBOLS, 0, 'a' }, { 'ZREM', SYMBOLS, 'a' },
    { 'HSET', latest, 'a', 'b' }, { 'DEL', latest },
  }
  local more = set.keyed == 'record' and {
    { 'HSET', record, 'a', 'b' }, { 'DEL', record }, { 'EXPIRE', record, 1 },
    { 'ZADD', timeline, 0, 'a' }, { 'ZREM', timeline, 'a' }, { 'COPY', record, latest },
  } or {
    { 'XADD', history, '*', 'a', 'b' }, { 'SET', owner, 'a' },
    { 'HSET', gone, 'a', 'b' }, { 'DEL', gone }, { 'EXPIRE', gone, 1 },
  }
  for _, command in ipairs(more) do commands[#commands + 1] = command end
  for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then
      return 'NOPERM this user may not run ' .. command[1] .. ' on ' .. command[2]
    end
  end
end

-- Before Redis 7 there is no such question: try each command where it changes nothing.
local function forbidden_6()
  if redis.acl_check_cmd then return nil end
  local key = stem .. 'probe'
  local commands = {
    { 'XADD', key, 'NOMKSTREAM', '*', 'a', 'b' }, { 'ZADD', key, 'XX', 0, 'a' },
    { 'ZMSCORE', key, 'a' }, { 'ZREM', key, 'a' }, { 'ZREMRANGEBYRANK', key, 0, 0 }, { 'DEL', key },
    { 'EXPIRE', key, 1 }, { 'COPY', key, key .. ':copy' }, { 'SET', key, 'a', 'XX' },
    { 'HSET', key, 'a', 'b' }, { 'DEL', key },
  }
  for _, command in ipairs(commands) do
    local reply = redis.pcall(unpack(command))
    if type(reply) == 'table' and reply.err then
      return words(reply) .. ' (' .. command[1] .. ' on ' .. stem .. '*)'
    end
  end
end

-- ------------------------------------------------------------------- order in time

-- A comparable time (times.py) as two numbers: to the second, and the nanoseconds.
local function moment(text)
  local y, mo, d, h, mi, s, rest =
    string.match(text or '', '^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)Z$')
  if not y then return 0, 0 end
  return tonumber(y .. mo .. d .. h .. mi .. s), tonumber((rest .. '000000000'):sub(1, 9))
end

-- Higher version, then later moment, then a delete, then what did not come over REST.
local function newer(change, stored)
  if change.version ~= stored.version then return change.version > stored.version end
  for i, pair in ipairs(change.moments) do
    local a, a_ns = moment(pair[2])
    local b, b_ns = moment(stored.moments[i])
    if a ~= b then return a > b end
    if a_ns ~= b_ns then return a_ns > b_ns end
  end
  local deletes = change.action == 'deleted'
  if deletes ~= stored.deleted then return deletes end
  return change.source ~= 'rest'
end

-- ----------------------------------------------------------------------- the parts

local touched, order = {}, {} -- symbol -> the entry that changed its latest
local checked, tops, fresh, seen_now = {}, {}, {}, {}
local last_entry = false

local function touch(symbol, entry)
  if not touched[symbol] then order[#order + 1] = symbol end
  touched[symbol] = entry
end

local function notify(symbol, entry)
  redis.pcall('PUBLISH', CHANGED, symbol .. ' ' .. entry)
end

local function is_known(change)
  for _, print in ipairs(change.known_by) do
    if fresh[print] then return true end
  end
  for _, score in ipairs(call('ZMSCORE', SEEN, unpack(change.known_by))) do
    if score then return true end
  end
  return false
end

local function remember(change)
  for _, print in ipairs(change.remember) do
    if not fresh[print] then
      fresh[print] = true
      seen_now[#seen_now + 1] = now
      seen_now[#seen_now + 1] = print
    end
  end
end

local function log_entry(change, symbol, effect, shift)
  local entry = {
    'envelope', change.envelope, 'action', change.action, 'record', change.record,
    'symbol', symbol, 'timestamp', change.timestamp, 'received', change.received,
    'source', change.source, 'version', format('%.0f', change.version),
    'effect', effect, unpack(change.headline)
  }
  if shift then
    entry[#entry + 1] = 'shift'
    entry[#entry + 1] = shift
  end
  entry[#entry + 1] = 'raw'
  entry[#entry + 1] = change.raw
  last_entry = write('XADD', EVENTS, 'MAXLEN', '~', set.events_maxlen, '*', unpack(entry))
  return last_entry
end

local function stored_at(key, change)
  local names = { '_version', '_action', '_symbol', '_source', '_published', 'date' }
  for _, pair in ipairs(change.moments) do names[#names + 1] = pair[1] end
  local found = redis.pcall('HMGET', key, unpack(names))
  if found.err then refuse('WRONGTYPE ' .. key .. ' is no hash') end
  if not found[1] then return nil end
  local stored = {
    version = tonumber(found[1]) or 0, deleted = found[2] == 'deleted',
    symbol = found[3] or '', source = found[4], published_at = found[5],
    dated = found[6] and true or false, moments = {},
  }
  for i = 1, #change.moments do stored.moments[i] = found[6 + i] end
  return stored
end

local function check_symbol(symbol)
  if symbol == '' then return end
  if checked[symbol] == nil then
    checked[symbol] = problem_with(stem .. 'latest:' .. symbol, 'hash')
      or problem_with(stem .. set.second .. ':' .. symbol, set.second_type)
      or true
  end
  if checked[symbol] ~= true then refuse(checked[symbol]) end
end

-- Replaces a hash whole, with our own fields; an empty one is absent.
local function write_hash(key, fields, change, symbol, entry, published_at, ours)
  write('DEL', key)
  local own = {
    '_symbol', symbol, '_record', change.record, '_action', change.action,
    '_version', format('%.0f', change.version), '_published', published_at,
    '_timestamp', change.moments[1][2], '_received', change.received,
    '_source', change.source, '_event', entry,
  }
  for i = 1, #own, 2 do
    if own[i + 1] ~= '' then
      fields[#fields + 1] = own[i]
      fields[#fields + 1] = own[i + 1]
    end
  end
  for _, part in ipairs(ours or {}) do fields[#fields + 1] = part end
  write('HSET', key, unpack(fields))
end

-- ------------------------------------------------------- streams of single records

local function top_of(symbol)
  if symbol == '' then return nil end
  if tops[symbol] == nil then
    tops[symbol] = call('ZREVRANGE', stem .. 'timeline:' .. symbol, 0, 0)[1] or false
  end
  return tops[symbol]
end

local function leave(symbol, record)
  if symbol == '' then return end
  write('ZREM', stem .. 'timeline:' .. symbol, record)
  tops[symbol] = nil
end

-- Enters a record in its symbol's timeline; false where it is too old to stay.
local function enter(symbol, record, published)
  if symbol == '' then return true end
  local timeline = stem .. 'timeline:' .. symbol
  write('ZADD', timeline, published, record)
  tops[symbol] = nil
  local over = call('ZCARD', timeline) - set.timeline_length
  if over <= 0 then return true end
  local stays = true
  for _, oldest in ipairs(call('ZRANGE', timeline, 0, over - 1)) do
    write('ZREM', timeline, oldest)
    write('DEL', stem .. 'record:' .. oldest)
    if oldest == record then stays = false end
  end
  return stays
end

-- The time of the first message stands where no message of a record has a date.
local function publication(change, stored)
  local first = stored and not stored.deleted and not stored.dated
    and stored.published_at
  if change.dated or not first or first >= change.published_at then
    return change.published, change.published_at
  end
  local score = stored.symbol ~= ''
    and call('ZSCORE', stem .. 'timeline:' .. stored.symbol, change.record)
  if not score then return change.published, change.published_at end
  return score, first
end

local function apply_record(change)
  local key = stem .. 'record:' .. change.record
  local stored = stored_at(key, change)
  local deletes = change.action == 'deleted'
  local symbol = change.symbol
  local before = stored and not stored.deleted and stored.symbol or ''
  if deletes and symbol == '' and stored then symbol = stored.symbol end
  check_symbol(symbol)
  check_symbol(before)
  local is_newer = not stored or newer(change, stored)
  if change.source == 'rest' and not is_newer then return 'duplicate' end

  if not is_newer then
    remember(change)
    log_entry(change, symbol, 'none')
    return 'none'
  end

  local published, published_at = publication(change, stored)
  if deletes and stored and not change.dated then published_at = stored.published_at end
  local was_top = before ~= '' and top_of(before) == change.record
  if before ~= '' and (deletes or before ~= symbol) then leave(before, change.record) end
  local stays = deletes or enter(symbol, change.record, published)
  local is_top = not deletes and symbol ~= '' and top_of(symbol) == change.record
  local effect = (was_top or is_top) and 'latest'
    or (stays or before ~= '') and 'record' or 'none'
  remember(change)
  local entry = log_entry(change, symbol, effect)
  if was_top then touch(before, entry) end
  if is_top then touch(symbol, entry) end
  if stays then
    write_hash(key, deletes and {} or change.fields, change, symbol, entry, published_at)
    -- Nothing else would ever remove a tombstone, or a record without a symbol.
    if deletes or symbol == '' then write('EXPIRE', key, set.tombstone_s) end
  end
  return effect
end

local function refresh_latest(symbol, entry)
  local latest, timeline = stem .. 'latest:' .. symbol, stem .. 'timeline:' .. symbol
  local top = call('ZREVRANGE', timeline, 0, 0)[1]
  while top and write('COPY', stem .. 'record:' .. top, latest, 'REPLACE') == 0 do
    write('ZREM', timeline, top) -- its record was evicted, or deleted by hand
    top = call('ZREVRANGE', timeline, 0, 0)[1]
  end
  if top then
    write('ZADD', SYMBOLS, now, symbol)
  else
    write('DEL', latest)
    write('ZREM', SYMBOLS, symbol)
  end
  notify(symbol, entry)
end

-- ------------------------------------------------------ streams of one per symbol

local function as_map(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

-- The same figures: all fields but ours and the time of update.
local function same_figures(was, is)
  local function within(a, b)
    for name, value in pairs(a) do
      local ours = name:sub(1, 1) == '_' and name:sub(2, 2) ~= '_'
      if not ours and name ~= 'updated_at' and b[name] ~= value then return false end
    end
    return true
  end
  return within(was, is) and within(is, was)
end

local COMPARED = { 'consensus_rating', 'consensus_rating_val', 'consensus_price_target' }

local function shift_of(was, is)
  local a = tonumber(was.consensus_rating_val)
  local b = tonumber(is.consensus_rating_val)
  if not a or not b then return '' end
  return b > a and 'up' or b < a and 'down' or 'same'
end

local function forget_symbol(change, symbol, gone, was)
  local effect = was and 'latest' or 'record'
  remember(change)
  local entry = log_entry(change, symbol, effect, '')
  write('DEL', stem .. 'latest:' .. symbol)
  write('ZREM', SYMBOLS, symbol)
  write_hash(gone, {}, change, symbol, entry, change.published_at)
  write('EXPIRE', gone, set.tombstone_s)
  if was then notify(symbol, entry) end
  return effect
end

local function apply_symbol(change)
  local symbol = change.symbol
  local owner = change.record ~= '' and stem .. 'owner:' .. change.record
  if symbol == '' and owner then
    local known = redis.pcall('GET', owner)
    if type(known) == 'string' then symbol = known end
  end
  if symbol == '' then
    remember(change)
    log_entry(change, '', 'none', '')
    return 'unattributed'
  end
  check_symbol(symbol)
  local latest, gone = stem .. 'latest:' .. symbol, stem .. 'gone:' .. symbol
  local stored = stored_at(latest, change)
  local is_newer = newer(change, stored or stored_at(gone, change)
    or { version = -1, moments = {} })
  if change.source == 'rest' and not is_newer then return 'duplicate' end
  if not is_newer then
    remember(change)
    log_entry(change, symbol, 'none', '')
    return 'none'
  end
  if change.action == 'deleted' then return forget_symbol(change, symbol, gone, stored) end

  local is = as_map(change.fields)
  local was = stored and as_map(call('HGETALL', latest))
  if owner then write('SET', owner, symbol, 'EX', set.tombstone_s) end
  remember(change)
  if was and same_figures(was, is) then
    local entry = log_entry(change, symbol, 'latest', shift_of(was, is))
    write('HSET', latest, '_version', format('%.0f', change.version),
      '_received', change.received)
    if is.updated_at then write('HSET', latest, 'updated_at', is.updated_at) end
    write('ZADD', SYMBOLS, now, symbol)
    notify(symbol, entry)
    return 'latest'
  end
  local ours, shift = {}, ''
  if was then
    shift = shift_of(was, is)
    for _, name in ipairs(COMPARED) do
      if was[name] then
        ours[#ours + 1] = '_previous_' .. name
        ours[#ours + 1] = was[name]
      end
    end
    if shift ~= '' then
      ours[#ours + 1] = '_shift'
      ours[#ours + 1] = shift
    end
  end
  local entry = log_entry(change, symbol, 'latest', shift)
  write('DEL', gone)
  write_hash(latest, change.fields, change, symbol, entry, change.published_at, ours)
  write('XADD', stem .. 'history:' .. symbol, 'MAXLEN', '~', set.history_maxlen, '*',
    unpack(call('HGETALL', latest)))
  write('ZADD', SYMBOLS, now, symbol)
  notify(symbol, entry)
  return 'latest'
end

-- ------------------------------------------------------------------- the batch

local apply_message = set.keyed == 'record' and apply_record or apply_symbol

local apply = {}

function apply.message(change)
  return apply_message(change)
end

function apply.rejected(change)
  remember(change)
  write('XADD', REJECTED, 'MAXLEN', '~', set.rejected_maxlen, '*', 'reason', change.reason,
    'received', change.received, 'raw', change.raw)
  return 'rejected'
end

function apply.gap(change)
  local values = {
    action = 'gap', received = change.received, from = change.begin, to = change['end'],
    cause = change.cause, recovered = format('%.0f', change.recovered),
  }
  local entry = {}
  for _, name in ipairs(set.entry_fields) do
    entry[#entry + 1] = name
    entry[#entry + 1] = values[name] or ''
  end
  remember(change)
  last_entry = write('XADD', EVENTS, 'MAXLEN', '~', set.events_maxlen, '*', unpack(entry))
  return 'gap'
end

local function apply_once(change)
  if is_known(change) then
    remember(change)
    return 'duplicate'
  end
  return apply[change.kind](change)
end

-- What concerns the server, not the change: the whole batch waits.
local SERVER = { 'OOM ', 'NOPERM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'MASTERDOWN' }

local function concerns_server(why)
  for _, word in ipairs(SERVER) do
    if string.find(why, word, 1, true) then return true end
  end
  return false
end

local function set_aside(change, why)
  local mark = { known_by = { 'refused ' .. change.known_by[1] } }
  if is_known(mark) then return end
  mark.remember = mark.known_by
  remember(mark)
  write('XADD', REJECTED, 'MAXLEN', '~', set.rejected_maxlen, '*', 'reason', why,
    'received', change.received, 'raw', change.raw or '')
end

-- Returns a result, or nil and why the batch cannot go on. Lua raises what Redis says as
-- text (6.2) or as a table (7 and later).
local function result_of(change)
  wrote = false
  local fine, result = pcall(apply_once, change)
  if fine then return result end
  local why = words(result)
  if wrote or concerns_server(why) then return nil, why end
  set_aside(change, why)
  return 'refused ' .. why
end

local function first_problem()
  for key, wanted in pairs({ [EVENTS] = 'stream', [REJECTED] = 'stream',
    [SEEN] = 'zset', [SYMBOLS] = 'zset' }) do
    local problem = problem_with(key, wanted)
    if problem then return problem end
  end
  return forbidden() or forbidden_6()
end

-- Entries leave `events` only at its old end. Where an acknowledged one is gone and none
-- older than it was trimmed away, this is not the Redis that acknowledged it.
local function rolled_back(acknowledged)
  if acknowledged == '' or #call('XRANGE', EVENTS, acknowledged, acknowledged) > 0 then
    return false
  end
  local first = call('XRANGE', EVENTS, '-', '+', 'COUNT', 1)[1]
  if not first then return true end
  local function parts(id)
    local ms, n = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(n)
  end
  local ms, n = parts(first[1])
  local ack_ms, ack_n = parts(acknowledged)
  return ms < ack_ms or (ms == ack_ms and n < ack_n)
end

-- What was seen is kept for set.remembered_ms, and never fewer than the newest ones.
local function trim_seen()
  local spare = call('ZCARD', SEEN) - set.remembered_least
  if spare <= 0 then return end
  local old = call('ZCOUNT', SEEN, '-inf', now - set.remembered_ms)
  local drop = math.min(spare, old)
  if drop > 0 then write('ZREMRANGEBYRANK', SEEN, 0, drop - 1) end
end

local problem = first_problem()
if problem then return redis.error_reply(problem) end
if rolled_back(ARGV[3]) then
  return redis.error_reply('ROLLBACK entry ' .. ARGV[3] .. ' of ' .. EVENTS .. ' is gone')
end

local results, failure = {}, nil
for i, change in ipairs(cmsgpack.unpack(ARGV[2])) do
  results[i], failure = result_of(change)
  if failure then break end
end
-- Also after a failure: what was applied before it is then whole, and known.
for i = 1, #seen_now, 2000 do
  write('ZADD', SEEN, unpack(seen_now, i, math.min(i + 1999, #seen_now)))
end
for _, symbol in ipairs(order) do refresh_latest(symbol, touched[symbol]) end
trim_seen()
if failure then return redis.error_reply(failure) end
return { results, last_entry }
