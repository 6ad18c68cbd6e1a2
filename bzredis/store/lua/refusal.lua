-- What cannot be used, or what Redis refuses: whom that concerns, and what becomes of it.
-- Made when wanted.

local REJECTED = server.stem .. 'rejected' -- where a person can look at it

-- What was raised, or answered, in words that begin with Redis' code for it. Redis 6.2
-- raises text with a place in front; where permission is missing no server says NOPERM.
local function words(problem)
  local text = type(problem) == 'table' and problem.err or problem
  text = string.gsub(text, '^[@=]%S+:%s*%-?%d+:%s*%-?', '')
  local denied = string.match(text, '^ERR (ACL failure in script.*)')
    or string.match(text, 'The user executing the script.*')
  return denied and 'NOPERM ' .. denied or text
end

local SERVER = {
  OOM = true, NOPERM = true, READONLY = true, MISCONF = true, NOREPLICAS = true,
  MASTERDOWN = true,
}

-- What concerns the server, not the change: the whole batch waits. So does it for a cluster
-- that is moving our keys, or is down: a script is told that without a code of its own.
local function concerns_server(why)
  return SERVER[string.match(why, '^%u+') or ''] or string.find(why, 'non local key', 1, true)
    or string.find(why, 'cluster is down', 1, true)
end

local function add(change, reason, raw)
  entry.in_hand.wrote = true
  local told = { 'reason', reason, 'received', change[at.received] }
  if raw ~= '' then told[5], told[6] = 'raw', raw end
  redis.call('XADD', REJECTED, 'MAXLEN', '~', set.rejected_maxlen, '*', unpack(told))
end

local function rejected(change)
  if seen.first_seen(change) then return 'duplicate' end
  add(change, change[at.reason], change[at.raw])
  seen.remember(change[at.remember])
  return 'rejected'
end

-- Keeps a refused change: once, however often it comes.
local function refused(change, why)
  local print = 'refused ' .. change[at.known_by][1]
  if seen.known[print] or redis.call('ZMSCORE', seen.SEEN, print)[1] then return end
  add(change, why, change[at.kind] == 'message' and change[at.raw] or '')
  seen.remember({ print })
end

-- The change in hand will be applied anew: its entries go, and what was remembered since.
local function take_back(since)
  local it = entry.in_hand
  if it.entry then redis.pcall('XDEL', server.EVENTS, it.entry) end
  if it.kept then redis.pcall('XDEL', it.history, it.kept) end
  for i = #seen.remembered, since + 1, -1 do
    seen.known[seen.remembered[i]] = nil
    seen.remembered[i] = nil
  end
end

return {
  REJECTED = REJECTED, words = words, concerns_server = concerns_server,
  rejected = rejected, refused = refused, take_back = take_back,
}
