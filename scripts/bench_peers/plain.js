// No promise: each message is one entry of a log, and the ticker's newest hash.
'use strict'

const Redis = require('ioredis')
const WebSocket = require('ws')

const { BENCH_UPSTREAM, BENCH_REDIS, BENCH_PREFIX, BENCH_MAXLEN } = process.env
const MOST_IN_FLIGHT = 1000

const redis = new Redis(BENCH_REDIS)
const socket = new WebSocket(BENCH_UPSTREAM)
let inFlight = 0

function flatten (object, prefix = '', flat = {}) {
  for (const [name, value] of Object.entries(object)) {
    if (value === null || value === '') continue
    if (typeof value === 'object' && !Array.isArray(value)) flatten(value, `${prefix}${name}_`, flat)
    else flat[prefix + name] = Array.isArray(value) ? JSON.stringify(value) : String(value)
  }
  return flat
}

async function write (raw) {
  const { id, data } = JSON.parse(raw)
  const content = flatten(data.content)
  await Promise.all([
    redis.xadd(`${BENCH_PREFIX}events`, 'MAXLEN', '~', BENCH_MAXLEN, '*',
      'envelope', id, 'action', data.action, 'record', data.id, 'symbol', content.ticker, 'raw', raw),
    redis.hset(`${BENCH_PREFIX}latest:${content.ticker}`, content)
  ])
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
