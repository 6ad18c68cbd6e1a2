-- Writes an entry of `rejected` with another reason: once, however many are at it.
--
-- KEYS[1]  PREFIX:STREAM:rejected
-- ARGV[1]  the entry
-- ARGV[2…] the new one's fields: name, value, …

if not redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1] then return 0 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2)) -- first: there may be no room for it
return redis.call('XDEL', KEYS[1], ARGV[1])
