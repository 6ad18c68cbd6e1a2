#!/usr/bin/env node
// What README.md says, with node-redis: npm install redis
const { createClient } = require('redis')

const KEYS = process.env.KEYS || 'bz:ratings'
const LOG = `${KEYS}:events`
const ENTRY = `action symbol record version published effect news firm direction rating
  rating_prior pt pt_prior rating_id value target shift`
const LATEST = `_record _version _firm _direction rating_current rating
  consensus_rating pt_current pt consensus_price_target`
const redis = createClient({ url: process.env.REDIS_URL || 'redis://127.0.0.1:6379' })
const USAGE = 'usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]'
const WORDS = new Map([['latest', [1]], ['tail', [0, 1, 2]], ['work', [2, 3]]])
let told

// Done when it is written: to a pipe that is full, console.log only promises.
function say (words, names = '', of = {}) {
  const fields = names.split(/\s+/).filter(name => name in of)
    .map(name => `${name}=${of[name].replace(/[\t\r\n]/g, ' ')}`)
  const line = [words, ...fields].join('\t')
  return new Promise(resolve => process.stdout.write(`${line}\n`, resolve))
}

async function tell (state) {
  if (state !== told) await say(state)
  told = state
}

async function act (entry, of) {
  if (of.action === 'gap') return say(`gap\t${entry}`, 'from to cause recovered', of)
  await say(`entry\t${entry}`, ENTRY, of)
  const why = /^(up|down)$/.test(of.direction) ? of.direction : moved(of) && 'target'
  if (why && of.news && of.action !== 'deleted') {
    await say(`alert\t${entry}`, 'symbol why', { ...of, why })
  }
}

// In ten thousandths, so that no binary fraction decides; false where one is absent.
function moved (of) {
  const [now, before] = [of.pt, of.pt_prior].map(text => Math.round(text * 10000))
  return Math.abs(now - before) * 10 > before
}

const state = async () => await redis.exists(`${KEYS}:alive`) ? 'fresh' : 'stale'

async function latest (symbol) {
  const alive = await state() // first: what is read after it is no older
  const found = await redis.hGetAll(`${KEYS}:latest:${symbol}`)
  await say(`latest\t${symbol}\t${alive}`, LATEST, found)
}

async function tail (last = '0-0', count = 0) {
  await forEver(async () => {
    const log = { key: LOG, id: last }
    const read = await redis.xRead(log, { COUNT: 100, BLOCK: 1000 })
    for (const { id, message } of read?.[0].messages ?? []) {
      await act(id, message)
      last = id
      if (--count === 0) process.exit()
    }
  })
}

async function work (group, name, idle = 60000) {
  let cursor = '0-0'
  await forEver(async () => {
    await redis.xGroupCreate(LOG, group, '0', { MKSTREAM: true }).catch(isThere)
    const left = await redis.xAutoClaim(LOG, group, name, +idle, cursor, { COUNT: 100 })
    cursor = left.nextId
    let batch = left.messages.filter(Boolean) // null: trimmed away meanwhile
    if (!batch.length) {
      const log = { key: LOG, id: '>' }
      const read = await redis.xReadGroup(group, name, log, { COUNT: 100, BLOCK: 1000 })
      batch = read?.[0].messages ?? []
    }
    for (const { id, message } of batch) {
      await act(id, message)
      await redis.xAck(LOG, group, id)
    }
  })
}

function isThere (error) {
  if (!error.message.startsWith('BUSYGROUP')) throw error
}

async function forEver (once) {
  for (;;) {
    try {
      await tell(await state())
      await once()
    } catch (error) {
      console.error(error.message)
      await tell('stale')
      await new Promise(resolve => setTimeout(resolve, 500))
    }
  }
}

async function main ([command, ...words]) {
  if (!WORDS.get(command)?.includes(words.length)) {
    console.error(USAGE)
    process.exit(2)
  }
  process.stdout.on('error', () => process.exit(1)) // as `| head` has enough
  redis.on('error', error => console.error(error.message))
  await redis.connect()
  await { latest, tail, work }[command](...words)
  redis.destroy()
}

main(process.argv.slice(2))
