-- Where the log stands, and until when all is here (coverage.md): as it is stored, and
-- what messages change of it. What marks do: holes.lua.
--
-- uses HMGET :internal:coverage a
-- uses HSET :internal:coverage a b c
-- uses GET :internal:log:*
-- uses SET :internal:log:* a a
-- uses EXPIRE :internal:log:* a

local call = redis.call
local COVERAGE = server.internal .. 'coverage'
local log = nil -- what the batch says of it, its key and its position

-- The hash, with what has been read: times as text or number, '' for none. `changed`: more
-- of it than `stamp` and `newest`, with which each batch ends. `due`: it is to be written
-- although no change was applied. `save`: what holes.lua wants done before.
local now = nil
local it = { now = nil, read = nil, frame = nil, write = nil }

function it.read(of)
  local found = server.read('HMGET', COVERAGE, 'stamp', 'since', 'until', 'newest',
    'subscription', 'upstream', 'reader', 'proving', 'reached', 'holes', 'stale')
  now = {
    since = found[2] or '', ['until'] = found[3] or '', newest = found[4] or '',
    subscription = found[5] or '', upstream = found[6] or '', reader = found[7] or '',
    proving = found[8] or '', reached = found[9] or '', holes = found[10] or '',
    stale = found[11] or '', changed = false, due = false, save = nil,
  }
  it.now, log = now, of
  log.key = server.internal .. 'log:' .. log.id
  log.position = tonumber(server.read('GET', log.key) or nil) or -1
  return now, tonumber(found[1] or nil) or 0
end

-- Notes a frame, and when it was first seen, if ever.
function it.frame(change, first_seen)
  local updated = change[at.updated] or 0
  if updated > (tonumber(now.newest) or 0) then now.newest = server.whole(updated) end
  if first_seen and now.proving ~= '' and now.reader == log.id
    and first_seen < (tonumber(now.reached) or math.huge) then
    now.reached, now.changed = first_seen, true
  end
end

-- The position comes last: then all before it counts.
function it.write(last)
  if now.save then now.save() end
  if now.changed then
    call('HSET', COVERAGE, 'stamp', seen.stamp.text, 'since', now.since, 'until',
      now['until'], 'newest', now.newest, 'subscription', now.subscription, 'upstream',
      now.upstream, 'reader', now.reader, 'proving', now.proving, 'reached', now.reached,
      'holes', now.holes, 'stale', now.stale)
  else
    call('HSET', COVERAGE, 'stamp', seen.stamp.text, 'newest', now.newest)
  end
  if last > log.position then
    call('SET', log.key, server.whole(last), 'EX', set.position_s)
  end
end

return it
