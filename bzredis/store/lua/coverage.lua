-- Where the log stands, and until when all is here (coverage.md): as it is stored, and
-- what messages change of it. What marks do: holes.lua.
--
-- uses HMGET :internal:coverage a
-- uses HSET :internal:coverage a b c
-- uses GET :internal:log:*
-- uses SET :internal:log:* a a
-- uses EXPIRE :internal:log:* a

local call, whole = redis.call, times.whole
local COVERAGE = keys.internal .. 'coverage'

local function log_key(id)
  return keys.internal .. 'log:' .. id
end

local log = nil -- id, first, subscription, window, since: what the batch says of its log
local it, changed = {}, {} -- the hash: text by name, '' for nothing; what else of it changed
local list = nil -- the holes, once they were asked for
local is_due = false -- also where no change was applied: a gap was announced, say

local function get(name)
  local value = it[name]
  return value ~= '' and value or nil
end

local function number(name)
  return tonumber(it[name])
end

local function put(name, value)
  if type(value) == 'number' then value = whole(value) end
  if value ~= it[name] then it[name], changed[name] = value, value end
end

local function read(of)
  log = of
  local found = refusal.read('HMGET', COVERAGE, 'newest', 'stamp', 'since', 'until',
    'subscription', 'upstream', 'reader', 'proving', 'reached', 'holes', 'stale')
  it = {
    newest = found[1] or '', stamp = found[2] or '', since = found[3] or '',
    ['until'] = found[4] or '', subscription = found[5] or '', upstream = found[6] or '',
    reader = found[7] or '', proving = found[8] or '', reached = found[9] or '',
    holes = found[10] or '', stale = found[11] or '',
  }
  log.position = tonumber(refusal.read('GET', log_key(log.id)) or nil) or -1
  return log
end

-- Whose all this is, where it is not this upstream's.
local function foreign(host)
  if it.upstream == '' then put('upstream', host) end
  return it.upstream ~= host and it.upstream
end

local function holes()
  if not list then list = get('holes') and cmsgpack.unpack(it.holes) or {} end
  return list
end

local function put_holes(kept)
  list = kept
  put('holes', kept[1] and cmsgpack.pack(kept) or '')
end

local function is_proving()
  return it.proving ~= '' and it.reader == log.id
end

-- Notes a message: when it was first seen as one, if ever, and whether it took effect.
local function message(change, first_seen, took_effect)
  local source = change[at.source]
  if source ~= 'rest' then
    local updated = change[at.updated] or 0
    if updated > (number('newest') or 0) then it.newest = whole(updated) end
    if first_seen and is_proving() and first_seen < (number('reached') or math.huge) then
      put('reached', first_seen)
    end
  end
  if took_effect and source ~= 'live' then
    for _, hole in ipairs(holes()) do hole.recovered = hole.recovered + 1 end
  end
end

local function renew()
  call('EXPIRE', log_key(log.id), set.position_s)
end

-- Latests that could not be made: symbol -> the event that changed it.
local function stale()
  return get('stale') and cmsgpack.unpack(it.stale) or {}
end

local function put_stale(now_stale)
  put('stale', next(now_stale) and cmsgpack.pack(now_stale) or '')
end

-- Writes what has changed, and what does each time; last of all the position: then it counts. Where nothing
-- was applied nothing is written, but that a gap was announced, or a `latest` is stale.
local function write(last)
  if last == log.position and not changed.stale and not is_due then return end
  if list then put_holes(list) end
  local fields = {}
  for name, value in pairs(changed) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  call('HSET', COVERAGE, 'stamp', seen.last_stamp(), 'newest', it.newest, unpack(fields))
  if last > log.position then
    call('SET', log_key(log.id), whole(last), 'EX', set.position_s)
  end
end

local function due()
  is_due = true
end

local function answer()
  return number('since') or false, number('until') or false, it.subscription, it.reader,
    it.holes
end

return {
  get = get, number = number, put = put, read = read, foreign = foreign,
  holes = holes, put_holes = put_holes, is_proving = is_proving, message = message,
  renew = renew, stale = stale, put_stale = put_stale, write = write, due = due,
  answer = answer,
}
