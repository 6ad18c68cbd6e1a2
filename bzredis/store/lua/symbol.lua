-- ------------------------------------------------------ streams of one per symbol

do
  local latest, history = stem .. 'latest:*', stem .. 'history:*'
  local of_record, of_symbol = stem .. 'heard:record:', stem .. 'heard:symbol:*'
  uses({
    { 'HMGET', latest, 'a' }, { 'HGETALL', latest },
    { 'XADD', history, '0-0', 'a', 'b' },
    { 'HMGET', of_record, 'a' }, { 'HSET', of_record, 'a', 'b', 'c' },
    { 'EXPIRE', of_record, 'a' }, { 'DEL', of_record },
    { 'HMGET', of_symbol, 'a' }, { 'HSET', of_symbol, 'a', 'b', 'c' },
    { 'EXPIRE', of_symbol, 'a' }, { 'DEL', of_symbol },
  })
end

local function as_map(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

-- What says whose a consensus is, and is no figure of it: a frame may, a row of REST not.
local WHOSE = { ticker = true, symbol = true, isin = true, exchange = true, name = true,
  id = true }

-- Whether two say the same: in whatever digits, and a count of zero may be missing.
local function same_figure(name, a, b)
  if string.sub(name, 1, 18) == 'aggregate_ratings_' then a, b = a or '0', b or '0' end
  return a == b or (tonumber(a) ~= nil and tonumber(a) == tonumber(b))
end

-- The same figures: all fields but ours, the time of update, and what says whose they are.
local function same_figures(was, is)
  local function within(a, b)
    for name, value in pairs(a) do
      local is_figure = not is_ours(name) and name ~= 'updated_at' and not WHOSE[name]
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

-- What was heard last of a record (`heard:record:ID`) and of a symbol
-- (`heard:symbol:SYM`), whatever became of it: else what stands would hang on the order
-- in which messages come, for a consensus leaves no record behind.
local function heard_at(key)
  local found = redis.pcall('HMGET', key, '_version', '_action', '_symbol', '_record', 'gone')
  if found.err then refuse(words(found) .. ' (' .. key .. ')') end
  if not found[1] then return nil end
  return {
    key = key, version = tonumber(found[1]) or 0, deleted = found[2] == 'deleted',
    symbol = found[3] or '', record = found[4] or '', gone = found[5],
  }
end

local function note_heard(key, change, symbol)
  local fields = { '_version', whole(change[VERSION]), '_action', change[ACTION],
    '_symbol', symbol, '_record', change[RECORD] }
  for _, part in ipairs(change[MOMENTS]) do fields[#fields + 1] = part end
  call('DEL', key)
  call('HSET', key, unpack(fields))
end

-- Where a symbol stands: the newest that was heard of it, and whether that is there.
local function standing_of(symbol)
  if symbol == '' then return nil end
  local latest, key = stem .. 'latest:' .. symbol, stem .. 'heard:symbol:' .. symbol
  local problem = problem_with(latest, 'hash')
    or problem_with(stem .. 'history:' .. symbol, 'stream')
  if problem then refuse(problem) end
  local shown, newest = heard_at(latest), heard_at(key)
  -- Someone may have removed either of them.
  if not newest or not (shown or newest.deleted or newest.gone) then newest = shown end
  -- Or an older version of this program wrote in between, which notes nothing.
  if shown and shown.version > newest.version then newest = shown end
  return { symbol = symbol, latest = latest, key = key, newest = newest, shown = shown }
end

local function is_of(standing, record)
  return standing and standing.shown and standing.newest.record == record
end

local function take_away(standing, entry)
  call('DEL', standing.latest)
  call('ZREM', SYMBOLS, standing.symbol)
  call('EXPIRE', standing.key, TOMBSTONE_S)
  notify(standing.symbol, entry)
end

-- The record that a symbol's consensus came from has left it.
local function leave_symbol(standing, entry)
  local newest = standing.newest
  call('HSET', standing.key, '_version', whole(newest.version), '_record', newest.record,
    'gone', '1')
  take_away(standing, entry)
end

local function show_consensus(standing, change, was, shift, entry)
  local latest, symbol, is = standing.latest, standing.symbol, as_map(change[FIELDS])
  if was and same_figures(was, is) then
    call('HSET', latest, '_version', whole(change[VERSION]), '_received', change[RECEIVED])
    if is.updated_at then call('HSET', latest, 'updated_at', is.updated_at) end
  else
    local fields = change[FIELDS]
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
    write_hash(latest, change, fields, symbol, entry, change[PUBLISHED_AT])
    call('XADD', stem .. 'history:' .. symbol, 'MAXLEN', '~', whole(set.history_maxlen),
      '*', unpack(call('HGETALL', latest)))
  end
  call('ZADD', SYMBOLS, now, symbol)
  notify(symbol, entry)
end

-- `latest` is the newest that was said of the symbol, until its record is deleted or
-- moves away: then it goes, for older ones are not kept. A message without a record
-- speaks for the symbol alone.
function apply.message(change)
  local record, deletes = change[RECORD], change[ACTION] == 'deleted'
  local of_record = record ~= '' and stem .. 'heard:record:' .. record or nil
  local held = of_record and heard_at(of_record)
  local symbol = change[SYMBOL]
  if symbol == '' and held then symbol = held.symbol end
  if symbol == '' and not (of_record and deletes) then
    log_entry(change, '', 'none', '')
    return 'unattributed'
  end

  local outdated = held and not newer(change, held)
  local here, before = standing_of(symbol), nil
  if held and held.symbol ~= symbol then before = standing_of(held.symbol) end
  local leads = here and not (of_record and deletes)
    and (not here.newest or newer(change, here.newest))
  if change[SOURCE] == 'rest' and (outdated or not leads) then return 'duplicate' end

  local stands = leads and not outdated and not deletes
  local leaves_here = of_record and deletes and not outdated and is_of(here, record)
  local leaves_before = not outdated and is_of(before, record)
  local ends = leads and not stands and here.shown
  local effect = 'none'
  if stands or leaves_here or leaves_before or ends then effect = 'latest'
  elseif deletes and not outdated and (of_record or leads) then effect = 'record' end

  local was = stands and here.shown and as_map(call('HGETALL', here.latest))
  local shift = was and shift_of(was, as_map(change[FIELDS])) or ''
  local entry = log_entry(change, symbol, effect, shift)
  if of_record and not outdated then
    note_heard(of_record, change, symbol)
    if not stands then call('EXPIRE', of_record, TOMBSTONE_S) end
  end
  if leads then
    local newest = here.newest
    if newest and newest.record ~= '' and newest.record ~= record then
      call('EXPIRE', stem .. 'heard:record:' .. newest.record, TOMBSTONE_S)
    end
    note_heard(here.key, change, symbol)
    if outdated then call('HSET', here.key, 'gone', '1') end
    if not stands then call('EXPIRE', here.key, TOMBSTONE_S) end
  end
  if leaves_before then leave_symbol(before, entry) end
  if leaves_here then leave_symbol(here, entry) end
  if ends then take_away(here, entry) end
  if stands then show_consensus(here, change, was, shift, entry) end
  return effect
end
