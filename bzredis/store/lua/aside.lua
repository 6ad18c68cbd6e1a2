-- What is set aside, where a person can look at it; and what broke off and is taken back.
--
-- uses XADD :rejected 0-0 a b
-- uses XDEL :events a

local REJECTED = server.stem .. 'rejected'

local function add(change, reason, raw)
  entry.in_hand.wrote = true
  redis.call('XADD', REJECTED, 'MAXLEN', '~', set.rejected_maxlen, '*', 'reason', reason,
    'received', change[at.received], 'raw', raw)
end

local function check_type()
  server.check_type(REJECTED, 'stream')
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

-- The change in hand will be applied anew: its entry goes, and what was remembered since.
local function take_back(since)
  if entry.in_hand.entry then redis.pcall('XDEL', server.EVENTS, entry.in_hand.entry) end
  for i = #seen.remembered, since + 1, -1 do
    seen.known[seen.remembered[i]] = nil
    seen.remembered[i] = nil
  end
end

return {
  check_type = check_type, rejected = rejected, refused = refused, take_back = take_back,
}
