-- Fails where this user may not do all that a batch may have to do; writes nothing.
--
-- KEYS[1]  PREFIX:STREAM:events
--
-- Each part tells the commands that it uses, each on each form of key. As they stand they
-- change nothing: Redis before 7 has to be asked by trying. No symbol is '*', but a record
-- might be; none is ''.

local may = redis.acl_check_cmd

local function problem_of(command)
  if may then
    return not may(unpack(command)) and 'NOPERM'
  end
  local reply = redis.pcall(unpack(command))
  local why = type(reply) == 'table' and reply.err and refusal.words(reply)
  return why and refusal.concerns_server(why) and why
end

for _, part in ipairs({ seen, entry, state, coverage }) do
  for _, command in ipairs(part.uses()) do
    local why = problem_of(command)
    if why and string.find(why, '^NOPERM') then
      why = 'NOPERM this user may not run ' .. command[1] .. ' on ' .. command[2]
    end
    if why then return redis.error_reply(why) end
  end
end
if may and not may('PUBLISH', keys.CHANGED, '') then
  return redis.error_reply('NOPERM this user may not PUBLISH to ' .. keys.CHANGED)
end
return 1
