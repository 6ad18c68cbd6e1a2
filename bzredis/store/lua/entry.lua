-- The log, and what all streams write alike.

local call, whole = redis.call, server.whole

-- The change in hand: whether it has begun to write, and its entry in the log.
local in_hand = { wrote = false, entry = false }

-- How an entry ends, name and value by turns. The names stand; the values are each
-- message's, for a new table for each takes longer than all that goes into it.
local ending = set.ending
local last = #ending

-- The first write of each message. Only where it succeeded is the message known.
local function log(change, symbol, effect, shift)
  local headline = change[at.headline]
  for i = 1, set.headline do ending[2 * i] = headline[i] or '' end
  if shift then ending[last - 2] = shift end
  ending[last] = change[at.raw]
  in_hand.wrote = true
  local entry = call('XADD', server.EVENTS, 'MAXLEN', '~', set.events_maxlen, '*',
    'envelope', change[at.envelope], 'action', change[at.action], 'record',
    change[at.record], 'symbol', symbol, 'timestamp', change[at.timestamp], 'received',
    change[at.received], 'source', change[at.source], 'version',
    whole(change[at.version]), 'effect', effect, unpack(ending, 1, last))
  in_hand.entry = entry
  seen.remember(change[at.remember])
  return entry
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

local function notify(symbol, entry)
  redis.pcall('PUBLISH', server.stem .. 'changed', symbol .. ' ' .. entry)
end

return { in_hand = in_hand, log = log, write_hash = write_hash, notify = notify }
