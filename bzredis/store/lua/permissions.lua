-- Refuses where this server cannot, or this user may not, do all that a batch may have to
-- do, or where a key that each batch writes is of a wrong type; writes nothing. Made when
-- wanted.
--
-- Redis before 7 has to be asked by trying, but for PUBLISH, which would be heard. Nothing
-- changes: arguments are the key's name, no number and no option, and commands are tried
-- on a key that is never there, since no log has the id '*'.

local stem = server.stem
local ARGUMENTS = { -- besides the key, where it is not one
  DEL = 0, GET = 0, HGETALL = 0, TYPE = 0, ZCARD = 0, SET = 2, ZCOUNT = 2, ZRANGE = 2,
  ZREVRANGE = 2, ZREMRANGEBYRANK = 2, HSET = 3, XADD = 3, ZADD = 3,
}

local function try(command, key)
  local words, may, why = { command, key }, redis.acl_check_cmd, nil
  for _ = 1, ARGUMENTS[command] or 1 do words[#words + 1] = key end
  if may then
    why = not may(unpack(words)) and 'NOPERM'
  elseif command ~= 'PUBLISH' then
    local found = redis.pcall(unpack(words))
    why = type(found) == 'table' and found.err and refusal().words(found)
  end
  if not why or not refusal().concerns_server(why) then return end
  local denied = 'NOPERM this user may not run ' .. command .. ' on ' .. key
  server.refuse(string.find(why, '^NOPERM') and denied or why)
end

-- Without arguments nothing is done, nor heard: a command that is there wants some.
local function look_for(command)
  local found = redis.pcall(command)
  local why = type(found) == 'table' and found.err and string.lower(refusal().words(found))
  if why and string.find(why, 'unknown', 1, true) then
    server.refuse('ERR this server has no command ' .. command .. ', which is needed')
  end
end

local function check()
  for _, command in ipairs(set.commands) do look_for(command) end
  if not server.has_clock then server.refuse('NOPERM this user may not run TIME') end
  -- SET comes first: Redis 6.2 no longer looks for room once a script has written.
  for _, name in ipairs(set.keys) do
    try('SET', stem .. name)
    try('GET', stem .. name)
  end
  for _, command in ipairs(set.commands) do
    local on = command == 'PUBLISH' and 'changed' or 'internal:log:*'
    if command ~= 'TIME' then try(command, stem .. on) end
  end
  server.check_type(server.EVENTS, 'stream')
  server.check_type(server.SYMBOLS, 'zset')
  server.check_type(refusal().REJECTED, 'stream')
end

return { check = check }
