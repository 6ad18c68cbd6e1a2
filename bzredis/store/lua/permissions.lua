-- Fails where this user may not do all that a batch may have to do; writes nothing.
--
-- KEYS[1]  PREFIX:STREAM:events
-- ARGV     the commands that the parts use, each on each form of key, its words in lines;
--          a key is ':' and its name after PREFIX:STREAM:
--
-- As they stand they change nothing: Redis before 7 has to be asked by trying, but for
-- PUBLISH, which would be heard. No symbol is '*', but a record might be: none is ''.

local stem, may = string.sub(KEYS[1], 1, -8), redis.acl_check_cmd -- without ':events'

for i = 1, #ARGV do
  local command, why = {}, nil
  for word in string.gmatch(ARGV[i], '[^\n]+') do
    command[#command + 1] = string.sub(word, 1, 1) == ':' and stem .. word or word
  end
  if may then
    why = not may(unpack(command)) and 'NOPERM'
  elseif command[1] ~= 'PUBLISH' then
    local reply = redis.pcall(unpack(command))
    why = type(reply) == 'table' and reply.err and refusal().words(reply)
    why = why and refusal().concerns_server(why) and why
  end
  if why and string.find(why, '^NOPERM') then
    why = 'NOPERM this user may not run ' .. command[1] .. ' on ' .. command[2]
  end
  if why then return redis.error_reply(why) end
end
return 1
