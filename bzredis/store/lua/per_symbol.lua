-- Streams of one hash per symbol, with a history.

local call, whole, stem = redis.call, server.whole, server.stem
local head_fields = set.head_fields

-- What was heard last of a record and of a symbol, whatever became of it: else what stands
-- would hang on the order in which messages come, for a consensus leaves no record behind.
local function of_record(record)
  return server.internal .. 'heard:record:' .. record
end

local function of_symbol(symbol)
  return server.internal .. 'heard:symbol:' .. symbol
end

local function as_map(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

-- What says whose a consensus is, and is no figure of it: a frame may, a row of REST not.
local WHOSE = { ticker = true, symbol = true, isin = true, exchange = true, name = true,
  id = true }

-- Whether two say the same: in whatever digits or case, and a count of zero may be missing.
local function same_figure(name, a, b)
  if name == 'consensus_rating' and a and b then a, b = string.upper(a), string.upper(b) end
  if string.sub(name, 1, 18) == 'aggregate_ratings_' then a, b = a or '0', b or '0' end
  return a == b or (tonumber(a) ~= nil and tonumber(a) == tonumber(b))
end

-- The same figures: all fields but ours, the time of update, and what says whose they are.
local function same_figures(was, is)
  local function within(a, b)
    for name, value in pairs(a) do
      local is_figure = not string.find(name, '^_[^_]') and name ~= 'updated_at' and not WHOSE[name]
      if is_figure and not same_figure(name, value, b[name]) then return false end
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

-- As the log has it: the rating in capitals.
local function headline_of(latest)
  local headline = call('HMGET', latest, unpack(head_fields))
  headline[1] = headline[1] and string.upper(headline[1])
  return headline
end

local function heard_at(key)
  local found = server.read('HMGET', key, '_version', '_action', '_symbol', '_record', 'gone')
  if not found[1] then return nil end
  return {
    key = key, version = tonumber(found[1]) or 0, deleted = found[2] == 'deleted',
    symbol = found[3] or '', record = found[4] or '', gone = found[5],
  }
end

local function note_heard(key, change, symbol)
  local fields = { '_version', whole(change[at.version]), '_action', change[at.action],
    '_symbol', symbol, '_record', change[at.record] }
  for _, part in ipairs(change[at.moments]) do fields[#fields + 1] = part end
  call('DEL', key)
  call('HSET', key, unpack(fields))
end

-- Where a symbol stands: the newest that was heard of it, and whether that is there.
local function standing_of(symbol)
  if symbol == '' then return nil end
  local latest, key = stem .. 'latest:' .. symbol, of_symbol(symbol)
  server.check_type(latest, 'hash')
  local shown, newest = heard_at(latest), heard_at(key)
  -- Someone may have removed either of them.
  if not newest or not (shown or newest.deleted or newest.gone) then newest = shown end
  -- Or the note of it could not be written.
  if shown and shown.version > newest.version then newest = shown end
  return { symbol = symbol, latest = latest, key = key, newest = newest, shown = shown }
end

local function is_of(standing, record)
  return standing and standing.shown and standing.newest.record == record
end

-- Last goes what tells that this is still to be done.
local function take_away(standing, event)
  call('EXPIRE', standing.key, set.tombstone_s)
  call('ZREM', server.SYMBOLS, standing.symbol)
  call('DEL', standing.latest)
  entry.notify(standing.symbol, event)
end

-- The record that a symbol's consensus came from has left it.
local function leave_symbol(standing, event)
  local newest = standing.newest
  call('HSET', standing.key, '_version', whole(newest.version), '_record', newest.record,
    'gone', '1')
  take_away(standing, event)
end

local function show_consensus(standing, change, was, is, news, shift, event)
  local latest, symbol = standing.latest, standing.symbol
  call('ZADD', server.SYMBOLS, server.now, symbol)
  if not news then
    call('HSET', latest, '_version', whole(change[at.version]), '_received', change[at.received])
    if is.updated_at then call('HSET', latest, 'updated_at', is.updated_at) end
  else
    local fields = { packed.fields(change) }
    for _, name in ipairs(was and COMPARED or {}) do
      if was[name] then
        fields[#fields + 1] = '_previous_' .. name
        fields[#fields + 1] = was[name]
      end
    end
    if shift ~= '' then
      fields[#fields + 1] = '_shift'
      fields[#fields + 1] = shift
    end
    entry.write_hash(latest, change, symbol, {}, unpack(fields))
  end
  entry.notify(symbol, event)
end

-- `latest` is the newest that was said of the symbol, until its record is deleted or
-- moves away: then it goes, for older ones are not kept. A message without a record
-- speaks for the symbol alone.
local function message(change)
  local record, deletes = change[at.record], change[at.action] == 'deleted'
  local own = record ~= '' and of_record(record) or nil
  local held = own and heard_at(own)
  local symbol = entry.symbol_of(change, held)
  if symbol == '' and not (own and deletes) then
    entry.log(change, '', 'none', change[at.published])
    return 'unattributed'
  end

  local outdated = held and not order.newer(change, held)
  local here, before = standing_of(symbol), nil
  if held and held.symbol ~= symbol then before = standing_of(held.symbol) end
  local leads = here and not (own and deletes)
    and (not here.newest or order.newer(change, here.newest))
  if change[at.source] == 'rest' and (outdated or not leads) then return 'duplicate' end

  local stands = leads and not outdated and not deletes
  local leaves_here = own and deletes and not outdated and is_of(here, record)
  local leaves_before = not outdated and is_of(before, record)
  local ends = leads and not stands and here.shown
  local effect = 'none'
  if stands or leaves_here or leaves_before or ends then effect = 'latest'
  elseif deletes and not outdated and (own or leads) then effect = 'record' end

  local was = stands and here.shown and as_map(call('HGETALL', here.latest))
  local is = stands and as_map({ packed.fields(change) })
  local shift = was and shift_of(was, is) or ''
  local goes = leaves_here or ends
  local news = goes or (stands and not (was and same_figures(was, is)))
  if news then entry.check_history(symbol) end
  local headline = goes and deletes and headline_of(here.latest)
  local event = entry.log(change, symbol, effect, change[at.published], news, headline,
    shift)
  if leaves_before then leave_symbol(before, event) end
  if leaves_here then leave_symbol(here, event) end
  if leads then
    local newest = here.newest
    if newest and newest.record ~= '' and newest.record ~= record then
      call('EXPIRE', of_record(newest.record), set.tombstone_s)
    end
    note_heard(here.key, change, symbol)
    if outdated then call('HSET', here.key, 'gone', '1') end
    if not stands then call('EXPIRE', here.key, set.tombstone_s) end
  end
  if ends then take_away(here, event) end
  if stands then show_consensus(here, change, was, is, news, shift, event) end
  if news then entry.keep(symbol, event) end
  if own and not outdated then
    note_heard(own, change, symbol)
    if not stands then call('EXPIRE', own, set.tombstone_s) end
  end
  return effect
end

return {
  message = message, symbols = {},
  -- Whatever is of the same version says the same.
  came_since = function() return false end,
  finish = function() end,
}
