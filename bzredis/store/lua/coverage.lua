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
local LOG = nil

-- What the batch says of its log, and the hash: times in ms as text or number, '' for none.
-- `changed`: more of it than `stamp` and `newest`, with which each batch ends.
local log = nil
local now = {
  since = '', ['until'] = '', newest = '', subscription = '', upstream = '', reader = '',
  proving = '', reached = '', holes = '', stale = '', changed = false,
  due = false, -- to be written although no change was applied
  save = nil, -- holes.lua's: to be called before it is written
}

local function read(of)
  local found = server.read('HMGET', COVERAGE, 'stamp', 'since', 'until', 'newest',
    'subscription', 'upstream', 'reader', 'proving', 'reached', 'holes', 'stale')
  now.since, now['until'], now.newest = found[2] or '', found[3] or '', found[4] or ''
  now.subscription, now.upstream = found[5] or '', found[6] or ''
  now.reader, now.proving, now.reached = found[7] or '', found[8] or '', found[9] or ''
  now.holes, now.stale = found[10] or '', found[11] or ''
  log, LOG = of, server.internal .. 'log:' .. of.id
  log.position = tonumber(server.read('GET', LOG) or nil) or -1
  return tonumber(found[1] or nil) or 0
end

-- Notes a frame, and when it was first seen, if ever.
local function frame(change, first_seen)
  local updated = change[at.updated] or 0
  if updated > (tonumber(now.newest) or 0) then now.newest = server.whole(updated) end
  if first_seen and now.proving ~= '' and now.reader == log.id
    and first_seen < (tonumber(now.reached) or math.huge) then
    now.reached, now.changed = first_seen, true
  end
end

-- The position comes last: then all before it counts.
local function write(last)
  if now.changed then
    call('HSET', COVERAGE, 'stamp', seen.stamp.text, 'since', now.since, 'until',
      now['until'], 'newest', now.newest, 'subscription', now.subscription, 'upstream',
      now.upstream, 'reader', now.reader, 'proving', now.proving, 'reached', now.reached,
      'holes', now.holes, 'stale', now.stale)
  else
    call('HSET', COVERAGE, 'stamp', seen.stamp.text, 'newest', now.newest)
  end
  if last > log.position then
    call('SET', LOG, server.whole(last), 'EX', set.position_s)
  end
end

local function renew()
  call('EXPIRE', LOG, set.position_s)
end

return { now = now, read = read, frame = frame, write = write, renew = renew }
