-- Writes a stream's status and its sign of life, unless another bridge holds them.
--
-- KEYS[1]  PREFIX:STREAM:status
-- KEYS[2]  PREFIX:STREAM:alive
-- ARGV[1]  the bridge's instance id
-- ARGV[2]  seconds that `alive` lasts, or '0' where what `latest` says may be stale
-- ARGV[3…] the status' fields: name, value, …
--
-- A bridge that is connected (ARGV[2] above 0) takes over: upstream allows one only.
-- Returns 1 where it wrote, 0 where another bridge is alive.

local holder = redis.call('GET', KEYS[2])
if ARGV[2] == '0' and holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if ARGV[2] ~= '0' then
  redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
elseif holder then
  redis.call('DEL', KEYS[2])
end
return 1
