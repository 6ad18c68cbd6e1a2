-- Writes an entry of `rejected` with another reason: once, however many are at it.
--
-- KEYS[1]  PREFIX:STREAM:rejected
-- ARGV[1]  the entry
-- ARGV[2…] the new one's fields: name, value, …

if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
return 1
