// The bridge's promises of an event, in Node: one Lua script a message, pipelined.
'use strict'

const crypto = require('node:crypto')
const Redis = require('ioredis')
const WebSocket = require('ws')

const { BENCH_UPSTREAM, BENCH_REDIS, BENCH_PREFIX, BENCH_MAXLEN } = process.env
const MOST_IN_FLIGHT = 1000
const TRIM_EACH = 64 // messages

// Applies one message as one atomic step. KEYS[1] is the prefix of all keys; ARGV: the
// log's length, whether to trim `seen`, then what `write` sends, the content's fields last.
const APPLY = `
local call, prefix = redis.call, KEYS[1]
local maxlen, trims, by_envelope, by_content, envelope, action, record, symbol, timestamp,
  received, version, published, firm, direction, rating, rating_prior, pt, pt_prior,
  importance, pt_change, pt_change_pct, raw = unpack(ARGV, 1, 22)
local CONTENT = 23
local seen, symbols = prefix .. 'internal:seen', prefix .. 'symbols'

local found = call('ZMSCORE', seen, by_envelope, by_content)
if found[1] or found[2] then return 'duplicate' end
local time = call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
call('ZADD', seen, now, by_envelope, now, by_content)
if trims == '1' and call('ZCARD', seen) > 20000 then
  call('ZREMRANGEBYSCORE', seen, '-inf', now - 7 * 86400000)
end

local function above(score, id, other_score, other)
  score, other_score = tonumber(score), tonumber(other_score)
  if score ~= other_score then return score > other_score end
  return id > other
end

local function refresh(of, event)
  local top = call('ZREVRANGE', prefix .. 'timeline:' .. of, 0, 0)[1]
  if top then
    call('COPY', prefix .. 'record:' .. top, prefix .. 'latest:' .. of, 'REPLACE')
    call('ZADD', symbols, now, of)
  else
    call('DEL', prefix .. 'latest:' .. of)
    call('ZREM', symbols, of)
  end
  call('PUBLISH', prefix .. 'changed', of .. ' ' .. event)
end

local key = prefix .. 'record:' .. record
local was = call('HMGET', key, '_version', '_timestamp', '_action', '_symbol', '_firm',
  '_direction', 'rating_current', 'pt_current')
local known, deletes = was[1] and was[3] ~= 'deleted', action == 'deleted'
if (deletes or symbol == '') and was[4] then symbol = was[4] end
local is_newer = not was[1] or tonumber(version) > tonumber(was[1])
  or version == was[1] and (timestamp > (was[2] or '') or deletes and known)

local timeline, moved = prefix .. 'timeline:' .. symbol, known and was[4] ~= symbol
local effect, news, was_top, is_top, stays = 'none', false, false, false, true
if is_newer and not known and not deletes and call('ZCARD', timeline) >= 50 then
  local oldest = call('ZRANGE', timeline, 0, 0, 'WITHSCORES')
  stays = above(published, record, oldest[2], oldest[1])
end
if is_newer and stays then
  local top = call('ZREVRANGE', timeline, 0, 0, 'WITHSCORES')
  was_top = known and not moved and top[1] == record
  is_top = not deletes and symbol ~= ''
    and (not top[1] or was_top or above(published, record, top[2], top[1]))
  effect = (was_top or is_top or moved) and 'latest' or 'record'
  if known then
    news = deletes or firm ~= (was[5] or '') or direction ~= (was[6] or '')
      or rating ~= (was[7] or '') or pt ~= (was[8] or '')
  else
    news = not deletes
  end
end

local fields = {}
local function put(name, value)
  if value == '' then return end
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
put('envelope', envelope) put('action', action) put('record', record)
put('symbol', symbol) put('timestamp', timestamp) put('received', received)
put('source', 'live') put('version', version) put('published', published)
put('effect', effect) put('news', news and '1' or '')
put('firm', firm) put('direction', direction) put('rating', rating)
put('rating_prior', rating_prior) put('pt', pt) put('pt_prior', pt_prior)
put('importance', importance) put('raw', raw)
local event = call('XADD', prefix .. 'events', 'MAXLEN', '~', maxlen, '*', unpack(fields))
if not is_newer or not stays then return effect end

if news and symbol ~= '' then
  fields[#fields - 1], fields[#fields] = 'event', event
  call('XADD', prefix .. 'history:' .. symbol, 'MAXLEN', '~', 200, '*', unpack(fields))
end

call('DEL', key)
call('HSET', key, '_version', version, '_action', action, '_symbol', symbol,
  '_published', published, '_timestamp', timestamp, '_record', record,
  '_received', received, '_source', 'live', '_event', event)
if deletes then
  call('EXPIRE', key, 35 * 86400)
else
  call('HSET', key, unpack(ARGV, CONTENT))
  local own = {}
  if firm ~= '' then own[#own + 1] = '_firm' own[#own + 1] = firm end
  if direction ~= '' then own[#own + 1] = '_direction' own[#own + 1] = direction end
  if pt_change ~= '' then own[#own + 1] = '_pt_change' own[#own + 1] = pt_change end
  if pt_change_pct ~= '' then own[#own + 1] = '_pt_change_pct' own[#own + 1] = pt_change_pct end
  if own[1] then call('HSET', key, unpack(own)) end
end

if moved or known and deletes then call('ZREM', prefix .. 'timeline:' .. was[4], record) end
if not deletes and symbol ~= '' then
  call('ZADD', timeline, published, record)
  local over = call('ZCARD', timeline) - 50
  if over > 0 then
    local dropped = call('ZPOPMIN', timeline, over)
    for i = 1, #dropped, 2 do call('DEL', prefix .. 'record:' .. dropped[i]) end
  end
end
if moved then refresh(was[4], event) end
if was_top or is_top then refresh(symbol, event) end
return effect
`
const redis = new Redis(BENCH_REDIS)
redis.defineCommand('apply', { numberOfKeys: 1, lua: APPLY })
const socket = new WebSocket(BENCH_UPSTREAM)
let inFlight = 0
let count = 0

const US = new Set(['', 'NYSE', 'NASDAQ', 'AMEX', 'ARCA', 'BATS', 'CBOE', 'IEX', 'OTC'])

function symbolOf ({ ticker = '', exchange = '' }) {
  const bare = ticker.trim().toUpperCase()
  const market = exchange.trim().toUpperCase()
  return !bare || US.has(market) ? bare : `${market}:${bare}`
}

function directionOf (action = '') {
  if (/^Upgrade/.test(action)) return 'up'
  if (/^Downgrade/.test(action)) return 'down'
  if (/^(Maintain|Reiterate)/.test(action)) return 'same'
  if (/^(Initiate|Reinstate|Assume)/.test(action)) return 'new'
  if (/^(Terminate|Remove|Suspend|Firm Dissolved)/.test(action)) return 'end'
  return ''
}

const offsets = new Map() // day -> '-04:00'

function easternOffset (day) {
  let offset = offsets.get(day)
  if (!offset) {
    const name = new Intl.DateTimeFormat('en-US', { timeZone: 'America/New_York', timeZoneName: 'longOffset' })
      .formatToParts(new Date(`${day}T12:00:00Z`)).find(({ type }) => type === 'timeZoneName').value
    offset = name.slice(3)
    offsets.set(day, offset)
  }
  return offset
}

function publishedAt ({ date, time }, timestamp) {
  if (!date) return Date.parse(timestamp)
  return Date.parse(`${date}T${time || '00:00:00'}${easternOffset(date)}`)
}

function flatten (object, prefix = '', flat = []) {
  for (const [name, value] of Object.entries(object)) {
    if (value === null || value === '') continue
    if (typeof value === 'object' && !Array.isArray(value)) flatten(value, `${prefix}${name}_`, flat)
    else flat.push(prefix + name, typeof value === 'object' ? JSON.stringify(value) : String(value))
  }
  return flat
}

function targetChange (content) {
  const now = content.adjusted_pt_current || content.pt_current
  const before = content.adjusted_pt_prior || content.pt_prior
  if (!now || !before) return ['', '']
  const change = Number(now) - Number(before)
  const digits = Math.max(...[now, before].map((price) => (price.split('.')[1] || '').length))
  return [change.toFixed(digits), Number(before) ? (100 * change / Number(before)).toFixed(2) : '']
}

function fingerprint (...parts) {
  return crypto.createHash('md5').update(parts.join('\0')).digest('hex')
}

function write (raw) {
  const { id, data } = JSON.parse(raw)
  const content = data.content || {}
  const action = data.action.toLowerCase()
  const received = new Date()
  return redis.apply(
    BENCH_PREFIX, BENCH_MAXLEN, ++count % TRIM_EACH ? '0' : '1',
    fingerprint(id, data.id), fingerprint(data.id, action, JSON.stringify(content)),
    id, action, data.id, symbolOf(content), data.timestamp, received.toISOString(),
    content.updated ? content.updated * 1000 : Date.parse(data.timestamp),
    publishedAt(content, data.timestamp),
    content.analyst || '', directionOf(content.action_company), content.rating_current || '',
    content.rating_prior || '', content.pt_current || '', content.pt_prior || '',
    content.importance ?? '', ...targetChange(content), raw, ...flatten(content)
  )
}

socket.on('open', () => socket.send('replay'))
socket.on('message', (frame) => {
  const raw = frame.toString()
  if (raw === 'pong') return
  if (++inFlight === MOST_IN_FLIGHT) socket.pause()
  write(raw).catch((error) => console.error('not written:', error.message)).finally(() => {
    if (--inFlight === MOST_IN_FLIGHT / 2) socket.resume()
  })
})
socket.on('close', () => process.exit(1))
socket.on('error', (error) => { console.error(error.message); process.exit(1) })
setInterval(() => { if (socket.readyState === WebSocket.OPEN) socket.send('ping') }, 10000)
