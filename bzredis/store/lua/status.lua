-- Writes a stream's status and its sign of life, unless another bridge holds them.
--
-- KEYS[1]  PREFIX:STREAM:status
-- KEYS[2]  PREFIX:STREAM:alive
-- KEYS[3]  PREFIX:STREAM:internal:holder, which bridge last wrote them
-- KEYS[4]  PREFIX:STREAM:internal:log:ID, number of the last change that is here of its log
-- KEYS[5]  PREFIX:STREAM:internal:coverage, with the host whose all this is
-- ARGV[1]  the bridge's instance id
-- ARGV[2]  seconds that `alive` and `holder` last without being renewed
-- ARGV[3]  'fresh', 'connected' (what `latest` says may be stale), 'apart' or 'gone'
-- ARGV[4]  number of the last change that Redis confirmed to the bridge; -1: none
-- ARGV[5]  the host that the bridge reads from, '' where it does not say
-- ARGV[6…] the status' fields: name, value, …
--
-- Upstream allows one connection: who has it takes over, and nobody else does as long as
-- the holder writes. Returns 1 where `alive` stands as was wanted, 0 where another bridge
-- holds it, where Redis has less than it confirmed (nothing is fresh then), or where all
-- this came from another upstream.

local me, lasts, state, host = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local connected = state == 'fresh' or state == 'connected'

-- Of a wrong type it is nobody's; all else that is wrong is.
local function failed(found)
  return type(found) == 'table' and found.err and not string.find(found.err, 'WRONGTYPE')
end

local holder = redis.pcall('GET', KEYS[3])
if failed(holder) then return holder end
if type(holder) == 'string' and holder ~= me and not connected then return 0 end
local upstream = redis.pcall('HMGET', KEYS[5], 'upstream')
if failed(upstream) then return upstream end
if host ~= '' and upstream[1] and upstream[1] ~= host then return 0 end
local position = redis.pcall('GET', KEYS[4])
position = type(position) == 'string' and tonumber(position) or -1
local stands = state ~= 'fresh' or position >= tonumber(ARGV[4])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
if state == 'fresh' and stands then redis.call('SET', KEYS[2], me, 'EX', lasts) end
if state ~= 'gone' then redis.call('SET', KEYS[3], me, 'EX', lasts) end
return stands and 1 or 0
