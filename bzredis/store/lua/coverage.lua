-- Where the log stands, and until when all is here (coverage.md): as it is stored, and
-- what messages change of it. What marks do: holes.lua.

local COVERAGE = server.internal .. 'coverage'
local FIELDS = { 'stamp', 'newest', 'since', 'until', 'subscription', 'upstream', 'reader',
  'proving', 'reached', 'holes', 'stale' }
local found = nil -- of the fields, as stored
local log = nil -- what the batch says of it, its key and its position

-- The hash: times as text or number, '' for none. `due`: it is to be written although no
-- change was applied. `save`: what holes.lua wants done before.
local now = { stamp = '', newest = '', since = '', ['until'] = '', subscription = '',
  upstream = '', reader = '', proving = '', reached = '', holes = '', stale = '',
  due = false, save = nil }

local function read(of)
  found, log = server.read('HMGET', COVERAGE, unpack(FIELDS)), of
  for i = 1, #FIELDS do now[FIELDS[i]] = found[i] or '' end
  log.key = server.internal .. 'log:' .. log.id
  log.position = tonumber(server.read('GET', log.key) or nil) or -1
end

-- Notes a frame, and when it was first seen, if ever.
local function frame(change, first_seen)
  local updated = change[at.updated] or 0
  if updated > (tonumber(now.newest) or 0) then now.newest = server.whole(updated) end
  if first_seen and now.proving ~= '' and now.reader == log.id
    and first_seen < (tonumber(now.reached) or math.huge) then
    now.reached = first_seen
  end
end

-- The position comes last: then all before it counts.
local function write(last)
  if now.save then now.save() end
  now.stamp = seen.stamp.text
  local changed = {}
  for i = 1, #FIELDS do
    local value = now[FIELDS[i]]
    if value ~= found[i] then
      changed[#changed + 1], changed[#changed + 2] = FIELDS[i], value
    end
  end
  redis.call('HSET', COVERAGE, unpack(changed))
  if last > log.position then
    redis.call('SET', log.key, server.whole(last), 'EX', set.position_s)
  end
end

return { now = now, read = read, frame = frame, write = write }
