-- The log, and what all streams write alike.
--
-- uses XADD :events 0-0 a b
-- uses XDEL :events a
-- uses XADD :rejected 0-0 a b
-- uses ZADD :symbols XX 0 *
-- uses ZREM :symbols *
-- uses PUBLISH :changed a
-- uses HSET :latest:* a b c
-- uses HDEL :latest:* a
-- uses DEL :latest:*

local call, whole = redis.call, times.whole
local EVENTS, REJECTED = keys.EVENTS, keys.REJECTED

-- What no read would show before the first write.
local function check_types(changes)
  refusal.check_type(EVENTS, 'stream')
  refusal.check_type(keys.SYMBOLS, 'zset')
  for i = 1, #changes do
    if changes[i][at.kind] == 'rejected' then
      return refusal.check_type(REJECTED, 'stream')
    end
  end
end

-- The change in hand: whether it has begun to write, and its entry in the log.
local in_hand = { wrote = false, entry = false }

local function begin()
  in_hand.wrote, in_hand.entry = false, false
end

-- It broke off, and will be applied anew.
local function take_back()
  if in_hand.entry then redis.pcall('XDEL', EVENTS, in_hand.entry) end
end

-- How an entry ends, name and value by turns. The names stand; the values are each
-- message's, for a new table for each takes longer than all that goes into it.
local ending = set.ending
local last = #ending

local function fill(headline, shift, raw)
  for i = 1, set.headline do ending[2 * i] = headline[i] or '' end
  if shift then ending[last - 2] = shift end
  ending[last] = raw
end

local function notify(symbol, entry)
  redis.pcall('PUBLISH', keys.CHANGED, symbol .. ' ' .. entry)
end

-- The first write of each message. Only where it succeeded is the message known.
local function log(change, symbol, effect, shift)
  fill(change[at.headline], shift, change[at.raw])
  in_hand.wrote = true
  local entry = call('XADD', EVENTS, 'MAXLEN', '~', set.events_maxlen, '*',
    'envelope', change[at.envelope], 'action', change[at.action], 'record',
    change[at.record], 'symbol', symbol, 'timestamp', change[at.timestamp], 'received',
    change[at.received], 'source', change[at.source], 'version',
    whole(change[at.version]), 'effect', effect, unpack(ending, 1, last))
  in_hand.entry = entry
  seen.remember(change[at.remember])
  return entry
end

-- Whether a field of a hash is the bridge's: upstream's own with a '_' get a second one.
local function is_ours(name)
  return name:sub(1, 1) == '_' and name:sub(2, 2) ~= '_'
end

-- Replaces a hash whole. Our own fields first: Redis finds the first ones fastest.
local function write_hash(key, change, fields, symbol, entry, published_at)
  local timestamp, record = change[at.moments][2], change[at.record]
  call('DEL', key)
  call('HSET', key, '_version', whole(change[at.version]), '_action', change[at.action],
    '_symbol', symbol, '_published', published_at, '_timestamp', timestamp, '_record',
    record, '_received', change[at.received], '_source', change[at.source], '_event',
    entry, unpack(fields))
  if symbol == '' then call('HDEL', key, '_symbol') end
  if timestamp == '' then call('HDEL', key, '_timestamp') end
  if record == '' then call('HDEL', key, '_record') end
end

local function reject(change, reason, raw)
  in_hand.wrote = true
  call('XADD', REJECTED, 'MAXLEN', '~', set.rejected_maxlen, '*', 'reason', reason,
    'received', change[at.received], 'raw', raw)
end

local function gap(hole, received)
  fill({}, set.shift and '', '')
  local more = { 'from', times.rfc3339(hole.begin), 'to', times.rfc3339(hole['end']),
    'cause', hole.cause, 'recovered', whole(hole.recovered) }
  for i = 1, #more do ending[last + i] = more[i] end
  in_hand.wrote = true
  call('XADD', EVENTS, 'MAXLEN', '~', set.events_maxlen, '*', 'envelope', '', 'action',
    'gap', 'record', '', 'symbol', '', 'timestamp', '', 'received',
    times.rfc3339(received), 'source', '', 'version', '', 'effect', '',
    unpack(ending, 1, last + #more))
end

return {
  check_types = check_types, in_hand = in_hand, begin = begin,
  take_back = take_back, notify = notify, log = log, is_ours = is_ours,
  write_hash = write_hash, reject = reject, gap = gap,
}
