-- ------------------------------------------- the log, and what all streams write alike

types[EVENTS], types[REJECTED], types[SYMBOLS] = 'stream', 'stream', 'zset'
do
  local latest = stem .. 'latest:*'
  uses({
    { 'XADD', EVENTS, '0-0', 'a', 'b' }, { 'XADD', REJECTED, '0-0', 'a', 'b' },
    { 'ZADD', SYMBOLS, 'XX', '0', '*' }, { 'ZREM', SYMBOLS, '*' },
    { 'HSET', latest, 'a', 'b', 'c' }, { 'HDEL', latest, 'a' }, { 'DEL', latest },
  })
end

local last_entry = false
local concerned = {} -- the symbols of which a record changed, each once

local function concern(symbol)
  if symbol == '' or concerned[symbol] then return end
  concerned[symbol] = true
  concerned[#concerned + 1] = symbol
end

-- How an entry ends, name and value by turns. The names stand; the values are each
-- message's, for a new table for each takes longer than all that goes into it.
local ending = {}
for i, name in ipairs(set.headline) do ending[2 * i - 1] = name end

local function notify(symbol, entry)
  redis.pcall('PUBLISH', CHANGED, symbol .. ' ' .. entry)
end

-- The first write of each message. Only where it succeeded is the message known.
local function log_entry(change, symbol, effect, shift)
  local headline, last = change[HEADLINE], 2 * #set.headline
  for i = 1, #set.headline do ending[2 * i] = headline[i] or '' end
  if shift then
    ending[last + 1], ending[last + 2] = 'shift', shift
    last = last + 2
  end
  ending[last + 1], ending[last + 2] = 'raw', change[RAW]
  wrote = true
  local entry = call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_MAXLEN, '*',
    'envelope', change[ENVELOPE], 'action', change[ACTION], 'record', change[RECORD],
    'symbol', symbol, 'timestamp', change[TIMESTAMP], 'received', change[RECEIVED],
    'source', change[SOURCE], 'version', whole(change[VERSION]), 'effect', effect,
    unpack(ending, 1, last + 2))
  last_entry = entry
  remember(change[REMEMBER])
  return entry
end

-- Whether a field of a hash is the bridge's: upstream's own with a '_' get a second one.
local function is_ours(name)
  return name:sub(1, 1) == '_' and name:sub(2, 2) ~= '_'
end

-- Replaces a hash whole. Our own fields first: Redis finds the first ones fastest.
local function write_hash(key, change, fields, symbol, entry, published_at)
  local timestamp = change[MOMENTS][2]
  call('DEL', key)
  call('HSET', key, '_version', whole(change[VERSION]), '_action', change[ACTION],
    '_symbol', symbol, '_published', published_at, '_timestamp', timestamp,
    '_record', change[RECORD], '_received', change[RECEIVED], '_source', change[SOURCE],
    '_event', entry, unpack(fields))
  if symbol == '' then call('HDEL', key, '_symbol') end
  if timestamp == '' then call('HDEL', key, '_timestamp') end
  if change[RECORD] == '' then call('HDEL', key, '_record') end
end

local function reject(reason, change, raw)
  wrote = true
  call('XADD', REJECTED, 'MAXLEN', '~', REJECTED_MAXLEN, '*', 'reason', reason,
    'received', change[RECEIVED], 'raw', raw)
end

function apply.rejected(change)
  reject(change[REASON], change, change[RAW])
  remember(change[REMEMBER])
  return 'rejected'
end

function apply.gap(change)
  local values = {
    action = 'gap', received = change[RECEIVED], from = change[BEGIN], to = change[END],
    cause = change[CAUSE], recovered = whole(change[RECOVERED]),
  }
  local entry = {}
  for _, name in ipairs(set.entry_fields) do
    entry[#entry + 1] = name
    entry[#entry + 1] = values[name] or ''
  end
  wrote = true
  last_entry = call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_MAXLEN, '*', unpack(entry))
  remember(change[REMEMBER])
  return 'gap'
end
