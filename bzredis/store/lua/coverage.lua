-- Where the log stands, and until when all is here (coverage.md): as it is stored, and
-- what messages change of it. What marks do: holes.lua.

local COVERAGE = server.internal .. 'coverage'
local it = { now = nil, due = false, pack_holes = nil } -- due: although nothing was applied
local now = nil -- the hash: times as text or number, '' for none
local log = nil -- what the batch says of it, its key and its position
local changed = {} -- of the hash: name, value, …

function it.read(of)
  local found = server.read('HMGET', COVERAGE, 'stamp', 'since', 'until', 'newest',
    'subscription', 'upstream', 'reader', 'proving', 'reached', 'holes', 'stale')
  now = {
    since = found[2] or '', ['until'] = found[3] or '', newest = found[4] or '',
    subscription = found[5] or '', upstream = found[6] or '', reader = found[7] or '',
    proving = found[8] or '', reached = found[9] or '', holes = found[10] or '',
    stale = found[11] or '',
  }
  it.now, log = now, of
  log.key = server.internal .. 'log:' .. log.id
  log.position = tonumber(server.read('GET', log.key) or nil) or -1
  return now, tonumber(found[1] or nil) or 0
end

function it.change(name, value)
  now[name] = value
  changed[#changed + 1] = name
  changed[#changed + 1] = value
end

-- Notes a frame, and when it was first seen, if ever. Where our connection does not count
-- (yet), what was sent before the frame may be missing: REST resumes from before that.
function it.frame(change, first_seen)
  if now.reader ~= log.id then return end
  local updated = change[at.updated] or 0
  if updated > (tonumber(now.newest) or 0) then now.newest = server.whole(updated) end
  if first_seen and now.proving ~= ''
    and first_seen < (tonumber(now.reached) or math.huge) then
    it.change('reached', first_seen)
  end
end

-- The position comes last: then all before it counts.
function it.write(last)
  if it.pack_holes then it.change('holes', it.pack_holes()) end
  redis.call('HSET', COVERAGE, 'stamp', seen.stamp.text, 'newest', now.newest,
    unpack(changed))
  if last > log.position then
    redis.call('SET', log.key, server.whole(last), 'EX', set.position_s)
  end
end

return it
