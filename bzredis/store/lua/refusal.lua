-- ---------------------------------------------------------------- what may go wrong

-- Raised before the first write: it is this one change that cannot be applied.
local function refuse(why)
  error({ refused = why })
end

-- What was raised, or answered, in words that begin with Redis' code for it. Redis 6.2
-- raises text with a place in front; where permission is missing no server says NOPERM.
local function words(problem)
  local text = problem
  if type(problem) == 'table' then text = problem.refused or problem.err or '?' end
  text = string.gsub(text, '^[@=]%S+:%s*%-?%d+:%s*%-?', '')
  local denied = string.match(text, '^ERR (ACL failure in script.*)')
    or string.match(text, 'The user executing the script.*')
  return denied and 'NOPERM ' .. denied or text
end

-- What concerns the server, not the change: the whole batch waits.
local SERVER = {
  OOM = true, NOPERM = true, READONLY = true, MISCONF = true, NOREPLICAS = true,
  MASTERDOWN = true,
}

-- So does a cluster that is moving our keys, or is down: what a script is told then has no
-- code of its own.
local function concerns_server(why)
  return SERVER[string.match(why, '^%u+') or ''] or string.find(why, 'non local key', 1, true)
    or string.find(why, 'cluster is down', 1, true)
end

local function problem_with(key, wanted)
  local found = call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then
    return 'WRONGTYPE ' .. key .. ' holds a ' .. found .. ' where a ' .. wanted .. ' belongs'
  end
end

-- Whether a permission is missing, found out before any write.
local function forbidden()
  local may = redis.acl_check_cmd
  for _, command in ipairs(commands) do
    local why = nil
    if not may then
      local reply = redis.pcall(unpack(command))
      why = type(reply) == 'table' and reply.err and words(reply) or ''
      if not concerns_server(why) then why = nil end
    elseif not may(unpack(command)) then
      why = 'NOPERM'
    end
    if why and string.find(why, '^NOPERM') then
      return 'NOPERM this user may not run ' .. command[1] .. ' on ' .. command[2]
    end
    if why then return why end
  end
  if may and not may('PUBLISH', CHANGED, '') then
    return 'NOPERM this user may not PUBLISH to ' .. CHANGED
  end
end

-- What keeps a whole batch from being applied, in words that begin with Redis' code.
local function first_problem()
  for key, wanted in pairs(types) do
    local problem = problem_with(key, wanted)
    if problem then return problem end
  end
  return forbidden()
end
