-- What went wrong, in words, and whom it concerns.

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

return { refuse = refuse, words = words, concerns_server = concerns_server }
