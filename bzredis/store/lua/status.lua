-- Writes a stream's status and its sign of life, unless another bridge holds them.
--
-- KEYS[1]  PREFIX:STREAM:status
-- KEYS[2]  PREFIX:STREAM:alive
-- KEYS[3]  PREFIX:STREAM:internal:holder, which bridge last wrote them
-- KEYS[4]  PREFIX:STREAM:internal:log:ID, number of the last change that is here of its log
-- KEYS[5]  PREFIX:STREAM:internal:coverage: the host whose all this is, and what is missing
-- ARGV[1]  the bridge's instance id
-- ARGV[2]  seconds that `alive` and `holder` last without being renewed
-- ARGV[3]  'fresh', 'connected' (what `latest` says may be stale), 'apart' or 'gone'
-- ARGV[4]  number of the last change that Redis confirmed to the bridge; -1: none
-- ARGV[5]  the host that the bridge reads from, '' where it does not say
-- ARGV[6]  the server's run, and how many keys it had evicted when it was first asked, ''
--          for not yet
-- ARGV[7]  why nothing is fresh, in a word, '' where it is
-- ARGV[8]  TIME, in s, when the bridge was last answered, '' for not yet
-- ARGV[9…] the status' fields: name, value, …
--
-- Upstream allows one connection: who has it takes over, and nobody else does as long as
-- the holder writes. Returns 1 where `alive` stands as was wanted, 0 where another bridge
-- holds it, where Redis has less than it confirmed or knows of something missing (nothing
-- is fresh then), where the bridge was not answered for so long that it may have slept since
-- it made its sign of life, or where all this came from another upstream; -1 where the server
-- may evict our keys, or did (nor is anything fresh then); its run and how many keys it has
-- evicted, '' where it does not say; and TIME.

local PRESSED = 0.9 -- of maxmemory; what comes within a second is less than the rest
local me, lasts, state, host = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local connected = state == 'fresh' or state == 'connected'

-- Of a wrong type it is nobody's; all else that is wrong is.
local function failed(found)
  return type(found) == 'table' and found.err and not string.find(found.err, 'WRONGTYPE')
end

-- Whether the server takes keys of any kind away, and how many it took. A user who may
-- not ask does without. With `volatile-*` it takes none that stays: of the others, `alive`
-- may go, and a position is missed.
local function evicts()
  local memory = redis.pcall('INFO', 'memory')
  if type(memory) ~= 'string' or not string.find(memory, 'maxmemory_policy:allkeys', 1, true)
  then
    return false, ''
  end
  local limit = tonumber(string.match(memory, 'maxmemory:(%d+)')) or 0
  local used = tonumber(string.match(memory, 'used_memory:(%d+)')) or 0
  local stats = redis.pcall('INFO', 'stats')
  local about = redis.pcall('INFO', 'server')
  local count = type(stats) == 'string' and string.match(stats, 'evicted_keys:(%d+)') or ''
  local run = type(about) == 'string' and string.match(about, 'run_id:(%w+)') or ''
  local pressed = limit > 0 and used > PRESSED * limit
  local before = string.match(ARGV[6], '^' .. run .. ' (%d*)$') -- another run's is nothing
  return pressed or (before ~= nil and before ~= count), run .. ' ' .. count
end

local coverage = nil

-- Whether what stands here still is what the sign says: since it was made Redis may have
-- come back older and been given all of its log once more, or have heard another bridge.
local function is_whole()
  local reader, holes = coverage[2] or '', coverage[3] or ''
  if reader ~= '' and string.sub(KEYS[4], -#reader) ~= reader then return false end
  for _, hole in ipairs(holes ~= '' and cmsgpack.unpack(holes) or {}) do
    if not hole.announced then return false end
  end
  return true
end

local holder = redis.pcall('GET', KEYS[3])
if failed(holder) then return holder end
local clock = redis.pcall('TIME')
local time, answered = tonumber(clock[1]), tonumber(ARGV[8])
local function answer(stands, count) return { stands, count, time or '' } end
if type(holder) == 'string' and holder ~= me and not connected then
  return answer(0, ARGV[6])
end
coverage = redis.pcall('HMGET', KEYS[5], 'upstream', 'reader', 'holes')
if failed(coverage) then return coverage end
if host ~= '' and coverage[1] and coverage[1] ~= host then return answer(0, ARGV[6]) end
local position = redis.pcall('GET', KEYS[4])
position = type(position) == 'string' and tonumber(position) or -1
local is_old = time and answered and math.abs(time - answered) > tonumber(lasts)
local stands = state ~= 'fresh' or
  (not is_old and position >= tonumber(ARGV[4]) and is_whole())
local taken, count = false, ARGV[6]
if state == 'fresh' then taken, count = evicts() end
local was_there = type(redis.pcall('GET', KEYS[2])) == 'string'
local is_there = state == 'fresh' and stands and not taken
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], unpack(ARGV, 9))
if is_there then redis.call('SET', KEYS[2], me, 'EX', lasts) end
if is_there ~= was_there then
  local why = taken and 'evicting' or state == 'fresh' and is_old and 'silent'
    or not stands and 'missing' or ARGV[7]
  local channel = string.sub(KEYS[1], 1, -7) .. 'fresh' -- in the place of 'status'
  redis.pcall('PUBLISH', channel, is_there and '1' or '0 ' .. why)
end
if state ~= 'gone' then redis.call('SET', KEYS[3], me, 'EX', lasts) end
return answer(taken and -1 or stands and 1 or 0, count)
