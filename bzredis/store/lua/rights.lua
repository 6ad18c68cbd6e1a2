-- Says which of these keys this user may not write, as '' for none, and raises what else
-- keeps the server from writing; writes nothing: SET is given a word that is no option of
-- it. For the keys of the status, which a batch does not write and so does not look at
-- (permissions.lua), and for what a server is not asked where it tells of permissions.
--
-- KEYS[1]  one of the stream's keys that the user may write, for its slot
-- ARGV     the names of the others: who declares one that is denied is told no name

for _, key in ipairs(ARGV) do
  local found = redis.pcall('SET', key, key, key)
  local why = type(found) == 'table' and found.err or ''
  if string.find(why, 'NOPERM', 1, true) or string.find(why, 'ACL failure', 1, true)
    or string.find(why, 'user executing the script', 1, true)
  then
    return key
  end
  if why ~= '' and not string.find(why, 'syntax error', 1, true) then
    return redis.error_reply((string.gsub(why, '^[@=]%S+:%s*%-?%d+:%s*%-?', '')))
  end
end
return ''
