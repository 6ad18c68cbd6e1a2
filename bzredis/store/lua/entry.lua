-- The log, and what all streams write alike.

local call, whole = redis.call, server.whole

-- The change in hand: whether it has begun to write, its entry in the log, and the one
-- in a history with its key; and as text its version, and when it was published.
local in_hand = { wrote = false, entry = false, kept = false, history = '', version = '',
  published = '' }

-- An entry's fields, name and value by turns: what is not known has none. One table for
-- all, for a new one for each message takes longer than all that goes into it.
local fields, count = {}, 0
local heads = set.heads

local function put(name, value)
  if value and value ~= '' then
    fields[count + 1], fields[count + 2] = name, value
    count = count + 2
  end
end

-- The first write of each message. Only where it succeeded is the message known. `news`:
-- whether it says something else than was known; `headline`: of what a deletion takes away.
local function log(change, symbol, effect, published, news, headline, shift)
  in_hand.version, in_hand.published = whole(change[at.version]), whole(published)
  count = 0
  put('envelope', change[at.envelope])
  put('action', change[at.action])
  put('record', change[at.record])
  put('symbol', symbol)
  put('timestamp', change[at.timestamp])
  put('received', change[at.received])
  put('source', change[at.source])
  put('version', in_hand.version)
  put('published', in_hand.published)
  put('effect', effect)
  put('news', news and '1')
  headline = headline or change[at.headline]
  for i = 1, #heads do put(heads[i], headline[i]) end
  put('shift', shift)
  put('raw', change[at.raw])
  in_hand.wrote = true
  local entry = call('XADD', server.EVENTS, 'MAXLEN', '~', set.events_maxlen, '*',
    unpack(fields, 1, count))
  in_hand.entry = entry
  seen.remember(change[at.remember])
  return entry
end

-- A ticker alone is of its record's exchange, and no ticker is its record's. What is deleted
-- is where it was, whatever the message names.
local function symbol_of(change, stored)
  local symbol = change[at.symbol]
  if not stored or stored.symbol == '' then return symbol end
  if change[at.action] == 'deleted' then return stored.symbol end
  local bare = string.match(stored.symbol, '^[^:]+:(.+)$')
  if symbol == '' or (not change[at.has_market] and bare == symbol) then
    return stored.symbol
  end
  return symbol
end

local function history_of(symbol)
  return server.stem .. 'history:' .. symbol
end

local checked = {} -- symbols, of this batch

-- Before the first write.
local function check_history(symbol)
  if symbol == '' or checked[symbol] then return end
  server.check_type(history_of(symbol), 'stream')
  checked[symbol] = true
end

-- Keeps what was logged last with its symbol, if it is news: its entry's id for `raw`.
local function keep(symbol, entry)
  if symbol == '' then return end
  fields[count - 1], fields[count] = 'event', entry
  in_hand.history = history_of(symbol)
  in_hand.kept = call('XADD', in_hand.history, 'MAXLEN', '~', set.history_length, '*',
    unpack(fields, 1, count))
end

-- Replaces a hash whole by the change that was logged last. Our own fields first: Redis
-- finds the first ones fastest.
local function write_hash(key, change, named, symbol)
  local timestamp, record = change[at.moments][2], change[at.record]
  call('DEL', key)
  call('HSET', key, '_version', in_hand.version, '_action', change[at.action], '_symbol',
    symbol, '_published', in_hand.published, '_timestamp', timestamp, '_record', record,
    '_received', change[at.received], '_source', change[at.source], '_event',
    in_hand.entry, unpack(named))
  if symbol == '' then call('HDEL', key, '_symbol') end
  if timestamp == '' then call('HDEL', key, '_timestamp') end
  if record == '' then call('HDEL', key, '_record') end
end

local function notify(symbol, entry)
  redis.pcall('PUBLISH', server.stem .. 'changed', symbol .. ' ' .. entry)
end

return {
  in_hand = in_hand, log = log, symbol_of = symbol_of, check_history = check_history,
  keep = keep,
  write_hash = write_hash, notify = notify,
}
