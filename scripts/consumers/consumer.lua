#!/usr/bin/env lua5.3
-- What README.md says, with redis-lua: apt-get install lua5.3 lua-redis
local redis, socket = require 'redis', require 'socket'

for _, name in ipairs { 'xread', 'xreadgroup', 'xgroup', 'xack', 'xautoclaim' } do
  redis.commands[name] = redis.command(name:upper()) -- younger than the library
end
local KEYS = os.getenv 'KEYS' or 'bz:ratings'
local LOG = KEYS .. ':events'
local ENTRY = [[action symbol record version published effect news firm direction rating
  rating_prior pt pt_prior rating_id value target shift]]
local LATEST = [[_record _version _firm _direction rating_current rating
  consensus_rating pt_current pt consensus_price_target]]
local client, told

local function connect()
  local url = os.getenv 'REDIS_URL' or 'redis://127.0.0.1:6379'
  local login, host, port, db = url:match '^redis://(.-)([^@:/]+):?(%d*)/?(%d*)$'
  local new = redis.connect(host, tonumber(port) or 6379)
  local user, password = login:match '^(.-):(.*)@$'
  if password and user ~= '' then new:auth(user, password) elseif password then new:auth(password) end
  if tonumber(db) then new:select(db) end
  client = new
end

local function say(words, of, names)
  for name in (names or ''):gmatch '%S+' do
    if of[name] then words = words .. '\t' .. name .. '=' .. of[name]:gsub('[\t\r\n]', ' ') end
  end
  local took = io.stdout:write(words, '\n') and io.stdout:flush()
  if not took then os.exit(1) end -- as `| head` has enough
end

local function tell(state)
  if state ~= told then say(state) end
  told = state
end

-- In ten thousandths, so that no binary fraction decides; nil where one is no number.
local function moved(now, before)
  now, before = tonumber(now), tonumber(before)
  if not (now and before) then return nil end
  now, before = math.floor(now * 10000 + 0.5), math.floor(before * 10000 + 0.5)
  return math.abs(now - before) * 10 > before
end

local function act(entry, of)
  if of.action == 'gap' then return say('gap\t' .. entry, of, 'from to cause recovered') end
  say('entry\t' .. entry, of, ENTRY)
  if of.direction == 'up' or of.direction == 'down' then
    of.why = of.direction
  elseif moved(of.pt, of.pt_prior) then
    of.why = 'target'
  end
  if of.why and of.news and of.action ~= 'deleted' then
    say('alert\t' .. entry, of, 'symbol why')
  end
end

local function state()
  return client:exists(KEYS .. ':alive') and 'fresh' or 'stale'
end

local function fields(flat)
  local of = {}
  for i = 1, #flat, 2 do of[flat[i]] = flat[i + 1] end
  return of
end

local function for_ever(once)
  while true do
    local well, lost = pcall(function()
      if not client then connect() end
      tell(state())
      once()
    end)
    if not well then
      io.stderr:write(tostring(lost), '\n')
      client = nil
      tell 'stale'
      socket.sleep(0.5)
    end
  end
end

local commands = {}

function commands.latest(symbol)
  connect()
  local alive = state() -- first: what is read after it is no older
  say('latest\t' .. symbol .. '\t' .. alive, client:hgetall(KEYS .. ':latest:' .. symbol), LATEST)
end

function commands.tail(last, count)
  local left = tonumber(count or 0)
  last = last or '0-0'
  for_ever(function()
    local read = client:xread('COUNT', 100, 'BLOCK', 1000, 'STREAMS', LOG, last)
    for _, each in ipairs(read and read[1][2] or {}) do
      act(each[1], fields(each[2]))
      last = each[1]
      left = left - 1
      if left == 0 then os.exit() end
    end
  end)
end

function commands.work(group, name, idle)
  local cursor, batch = '0-0', nil
  for_ever(function()
    local made, why = pcall(client.xgroup, client, 'CREATE', LOG, group, 0, 'MKSTREAM')
    if not made and not tostring(why):find 'BUSYGROUP' then error(why, 0) end -- else it is there
    local claim = { LOG, group, name, idle or 60000, cursor, 'COUNT', 100 }
    cursor, batch = table.unpack(client:xautoclaim(table.unpack(claim)))
    if not next(batch) then
      local read = client:xreadgroup('GROUP', group, name, 'COUNT', 100, 'BLOCK', 1000, 'STREAMS', LOG, '>')
      batch = read and read[1][2] or {}
    end
    for _, each in pairs(batch) do -- with holes where one was trimmed meanwhile
      act(each[1], fields(each[2]))
      client:xack(LOG, group, each[1])
    end
  end)
end

local takes = { latest = { 1, 1 }, tail = { 0, 2 }, work = { 2, 3 } }
local least, most = table.unpack(takes[arg[1]] or { 1, 0 })
if #arg - 1 < least or #arg - 1 > most then
  io.stderr:write 'usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]\n'
  os.exit(2)
end
commands[arg[1]](table.unpack(arg, 2))
