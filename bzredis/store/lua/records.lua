-- Streams of single records: a hash for each, a timeline and a latest for each symbol.

local call, whole, stem = redis.call, server.whole, server.stem

local symbols = {} -- of which a record changed, each once

local function concern(symbol)
  if symbol == '' or symbols[symbol] then return end
  symbols[symbol] = true
  symbols[#symbols + 1] = symbol
end

local lines = {} -- symbol -> its timeline, as it stands in this batch
local touched = {} -- those whose `latest` has to be made anew
local shown = {} -- those that have one: when, symbol, …

local OURS = 4 -- fields before those of the headline
local head_fields, head_news = set.head_fields, set.head_news

local function stored_at(key)
  local found = server.read('HMGET', key, '_version', '_action', '_symbol', '_published',
    unpack(head_fields))
  if not found[1] then return nil end
  return {
    key = key, version = tonumber(found[1]) or 0, deleted = found[2] == 'deleted',
    symbol = found[3] or '', published = tonumber(found[4]),
    headline = { unpack(found, OURS + 1, OURS + #head_fields) },
  }
end

-- Whether an update says something else than its record said: other digits are not.
local function differs(headline, was)
  for i = 1, #headline do
    local a, b, kind = was[i] or '', headline[i], head_news[i]
    local same = a == b or kind == '' or (kind == 'number' and tonumber(a) ~= nil
      and tonumber(a) == tonumber(b))
    if not same then return true end
  end
  return false
end

-- The top of a timeline: false where it is empty, nil (until here) where not known.
local function top_of(line)
  if line.top == nil then
    local found = server.read('ZREVRANGE', line.timeline, '0', '0', 'WITHSCORES')
    line.top, line.score = found[1] or false, tonumber(found[2])
    line.written = false -- its record, in this batch
  end
  return line.top
end

local function line_of(symbol)
  if symbol == '' then return nil end
  local line = lines[symbol]
  if not line then
    line = { symbol = symbol, latest = stem .. 'latest:' .. symbol,
      timeline = stem .. 'timeline:' .. symbol, top = nil, score = nil, written = false,
      count = 0, event = nil }
    server.check_type(line.latest, 'hash')
    line.count = top_of(line) and call('ZCARD', line.timeline) or 0
    lines[symbol] = line
  end
  return line
end

local function touch(line, event)
  if not line.event then touched[#touched + 1] = line end
  line.event = event
end

local function leave(line, record)
  line.count = line.count - call('ZREM', line.timeline, record)
  if line.top == record then line.top = nil end
end

local function enter(line, record, published)
  line.count = line.count + call('ZADD', line.timeline, entry.in_hand.published, record)
  local stays_top = line.top == record and published >= line.score
  if not line.top or stays_top or order.above(published, record, line.score, line.top) then
    line.top, line.score, line.written = record, published, true
  elseif line.top == record then
    line.top = nil -- it was published earlier than we knew
  end
end

-- Returns whether a newcomer is new enough to stay, and which records it replaces.
local function room_for(line, record, published)
  local over = line.count + 1 - set.timeline_length
  if over <= 0 then return true, {} end
  local last = over == 1 and '0' or whole(over - 1)
  local found, oldest = call('ZRANGE', line.timeline, '0', last, 'WITHSCORES'), {}
  for i = 1, over do oldest[i] = found[2 * i - 1] end
  local stays = order.above(published, record, tonumber(found[2 * over]), oldest[over])
  if not stays then oldest[over] = nil end
  return stays, oldest
end

-- The time of the first message stands where no message of a record has a date.
local function publication(change, stored)
  local published = change[at.published]
  if change[at.dated] or not stored or not stored.published then return published end
  if change[at.action] == 'deleted' then return stored.published end
  if stored.deleted or stored.published >= published
    or call('HMGET', stored.key, 'date')[1] then
    return published
  end
  return stored.published
end

local function message(change)
  local record, deletes = change[at.record], change[at.action] == 'deleted'
  local key = stem .. 'record:' .. record
  local stored = stored_at(key) or set.watched and rows().gone_unseen(record, key) or nil
  local symbol = entry.symbol_of(change, stored)
  local line = line_of(symbol)
  local before = stored and not stored.deleted and line_of(stored.symbol) or nil
  local is_newer
  if deletes and change[at.source] == 'rest' then
    is_newer = rows().removes(change, stored)
    if is_newer and not stored and set.watched then return rows().note_unseen(change) end
  else
    is_newer = not stored or order.newer(change, stored)
  end
  if not is_newer and change[at.source] == 'rest' then return 'duplicate' end
  if not is_newer then
    entry.log(change, symbol, 'none', change[at.published])
    return 'none'
  end

  local published = publication(change, stored)
  local enters = line and not deletes
  local stays, replaced = true, {}
  if enters and before ~= line then
    stays, replaced = room_for(line, record, published)
  end
  local was_top = before and top_of(before) == record
  local is_top = enters and stays and (not top_of(line) or line.top == record
    or order.above(published, record, line.score, line.top))
  local effect = (was_top or is_top) and 'latest' or (stays or before) and 'record' or 'none'

  local known = stored and not stored.deleted and stored or nil
  local news = effect ~= 'none'
  if known then
    news = news and (deletes or differs(change[at.headline], known.headline))
  elseif deletes then
    news = false
  end
  if news then entry.check_history(symbol) end

  local event = entry.log(change, symbol, effect, published, news,
    deletes and known and known.headline)
  -- Before all other writes: should one of them fail, `latest` is made anew all the same.
  if was_top then touch(before, event) end
  if is_top then touch(line, event) end
  if before and (deletes or before ~= line) then leave(before, record) end
  if enters and stays then enter(line, record, published) end
  for i = #replaced, 1, -1 do
    local old = stem .. 'record:' .. replaced[i]
    leave(line, replaced[i])
    replaced[i] = old -- goes with the hash, but for what Lua's stack would not hold
    if i > server.CHUNK then
      call('DEL', old)
      replaced[i] = nil
    end
  end
  if news then entry.keep(symbol, event) end
  if effect ~= 'none' then
    concern(symbol)
    if stored then concern(stored.symbol) end
  end
  if not stays then
    call('DEL', key, unpack(replaced))
    return effect
  end
  if deletes then
    entry.write_hash(key, change, symbol, replaced)
  else
    entry.write_hash(key, change, symbol, replaced, packed.fields(change))
  end
  -- Nothing else would ever remove a tombstone, or a record without a symbol.
  if deletes or symbol == '' then call('EXPIRE', key, set.tombstone_s) end
  return effect
end

-- Whether a record is there, alive, and this symbol's: it may have been evicted, or
-- deleted or written by hand.
local function belongs(record, symbol)
  local found = redis.pcall('HMGET', stem .. 'record:' .. record, '_symbol', '_action')
  return found[1] == symbol and found[2] ~= 'deleted'
end

local function refresh_latest(line)
  local top = top_of(line)
  while top and not line.written and not belongs(top, line.symbol) do
    leave(line, top)
    top = top_of(line)
  end
  if top then
    call('COPY', stem .. 'record:' .. top, line.latest, 'REPLACE')
    shown[#shown + 1], shown[#shown + 2] = server.now, line.symbol
  else
    call('DEL', line.latest)
    call('ZREM', server.SYMBOLS, line.symbol)
  end
end

-- Makes `latest` of what was touched anew, and what an earlier batch could not; notes of
-- which symbols it cannot be made, with the event that changed it; returns why not.
local function finish()
  local before, stale, problem = coverage.now.stale, {}, nil
  if before == '' and not touched[1] then return end
  for symbol, event in pairs(before ~= '' and cmsgpack.unpack(before) or {}) do
    local fine, line = pcall(line_of, symbol)
    if not fine then
      stale[symbol] = event
    elseif not line.event then
      touch(line, event)
    end
  end
  for i = 1, #touched do
    local fine, why = pcall(refresh_latest, touched[i])
    if not fine then stale[touched[i].symbol], problem = touched[i].event, why end
  end
  local fine, why = pcall(server.add, server.SYMBOLS, 'CH', shown)
  if not fine then problem = why end
  for i = 2, fine and 0 or #shown, 2 do stale[shown[i]] = lines[shown[i]].event end
  for i = 1, #touched do
    local line = touched[i]
    if not stale[line.symbol] then entry.notify(line.symbol, line.event) end
  end
  if before ~= '' or problem then
    coverage.change('stale', next(stale) and cmsgpack.pack(stale) or '')
    coverage.due = true
  end
  return problem and refusal().words(problem)
end

local function came_since(change)
  return rows().came_since(change, stored_at(stem .. 'record:' .. change[at.record]))
end

return { symbols = symbols, message = message, finish = finish, came_since = came_since }
