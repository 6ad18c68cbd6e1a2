-- Writes a stream's status and its sign of life, unless another bridge holds them.
--
-- KEYS[1]  PREFIX:STREAM:status
-- KEYS[2]  PREFIX:STREAM:alive
-- KEYS[3]  PREFIX:STREAM:holder, which bridge last wrote them; internal
-- ARGV[1]  the bridge's instance id
-- ARGV[2]  seconds that `alive` and `holder` last without being renewed
-- ARGV[3]  'fresh', 'connected' (what `latest` says may be stale), 'apart' or 'gone'
-- ARGV[4…] the status' fields: name, value, …
--
-- Upstream allows one connection: who has it takes over, and nobody else does as long as
-- the holder writes. Returns 1 where it wrote, 0 where another bridge holds them.

local me, lasts, state = ARGV[1], ARGV[2], ARGV[3]
local connected = state == 'fresh' or state == 'connected'
local holder = redis.pcall('GET', KEYS[3]) -- an older version leaves just `alive`
if not holder then holder = redis.pcall('GET', KEYS[2]) end
local other = type(holder) == 'string' and holder ~= me
if other and not connected then return 0 end
-- What is no text there is nobody's; all else that is wrong is.
local wrong = type(holder) == 'table' and holder.err
if wrong and not string.find(wrong, 'WRONGTYPE') then return holder end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
if state == 'fresh' then redis.call('SET', KEYS[2], me, 'EX', lasts) end
if state ~= 'gone' then redis.call('SET', KEYS[3], me, 'EX', lasts) end
return 1
