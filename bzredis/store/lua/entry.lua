-- The log, and what all streams write alike.

local call, whole = redis.call, server.whole

-- The change in hand: whether it has begun to write, its entry in the log, and the one
-- in a history with its key; and as text its version, and when it was published.
local in_hand = { wrote = false, entry = false, kept = false, history = '', version = '',
  published = '' }

-- An entry's fields, name and value by turns: what is not known has none. One table for
-- all, for a new one for each message takes longer than all that goes into it.
local fields, count = {}, 0
local NAMES = { 'envelope', 'action', 'record', 'symbol', 'timestamp', 'received', 'source',
  'version', 'published', 'effect', 'news' }
local values = {} -- of these
local heads = set.heads

-- Puts what is known behind so many; returns how many it is then.
local function put(count, names, values)
  local fields = fields
  for i = 1, #names do
    local value = values[i]
    if value and value ~= '' then
      fields[count + 1], fields[count + 2] = names[i], value
      count = count + 2
    end
  end
  return count
end

-- The first write of each message. Only where it succeeded is the message known. `news`:
-- whether it says something else than was known; `headline`: of what a deletion takes away.
local function log(change, symbol, effect, published, news, headline, shift)
  local version = whole(change[at.version])
  published = published == change[at.version] and version or whole(published)
  in_hand.version, in_hand.published = version, published
  values[1], values[2], values[3] = change[at.envelope], change[at.action], change[at.record]
  values[4], values[5], values[6] = symbol, change[at.timestamp], change[at.received]
  values[7], values[8], values[9] = change[at.source], version, published
  values[10], values[11] = effect, news and '1'
  local last = put(put(0, NAMES, values), heads, headline or change[at.headline])
  if shift and shift ~= '' then
    fields[last + 1], fields[last + 2] = 'shift', shift
    last = last + 2
  end
  fields[last + 1], fields[last + 2] = 'raw', change[at.raw]
  count = last + 2
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

-- Replaces a hash whole by the change that was logged last, with these fields behind our
-- own, for Redis finds the first ones fastest; what is replaced by it goes.
local function write_hash(key, change, symbol, replaced, ...)
  local timestamp, record = change[at.moments][2], change[at.record]
  call('DEL', key, unpack(replaced))
  call('HSET', key, '_version', in_hand.version, '_action', change[at.action], '_symbol',
    symbol, '_published', in_hand.published, '_timestamp', timestamp, '_record', record,
    '_received', change[at.received], '_source', change[at.source], '_event',
    in_hand.entry, ...)
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
