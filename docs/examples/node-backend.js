// A backend in Node: gives tokens to devices, pushes, and reads what devices send.
//
//   API_KEY="$(cat data/api-key)" node docs/examples/node-backend.js

import { createServer } from 'node:http'
import { createPushClient, PushError } from '@postrider/sdk/server'

const { API_KEY = '', SERVER = 'http://127.0.0.1:8080', PORT = '3000', DEVICE = 'phone-1' } = process.env
const postrider = createPushClient({ url: SERVER, apiKey: API_KEY })
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

// 1. Devices get their tokens here. Which device somebody may be is for your own session to say, not for the request.
const tokens = createServer(async (request, response) => {
  if (request.url !== '/device-token') {
    response.writeHead(404).end()
    return
  }
  try {
    const { token } = await postrider.token(DEVICE, { ttl: 3_600 })
    response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end(token)
  } catch (error) {
    console.error(error)
    response.writeHead(503).end()
  }
})
tokens.listen(Number(PORT), '127.0.0.1', () => console.log(`tokens at ${tokens.address().port}`))

// 2. A push resolves when the message is stored. With a dedup id of your own it may be repeated at any time, also by another
// process: it stays one message. Retries, batches and the order of each device are the client's work.
const order = await postrider.push(
  DEVICE,
  { order: 17, state: 'shipped' },
  { dedupId: 'order-17-shipped', ttl: 86_400 },
)
console.log(`order 17: seq ${order.seq}${order.duplicate ? ', stored before' : ''}`)

// 3. Many at once: each has its own outcome.
const outcomes = await postrider.pushMany([
  { device: DEVICE, payload: 'one', dedupId: 'news-1' },
  { device: DEVICE, payload: 'two', dedupId: 'news-2' },
  { device: 'no such id!', payload: 'three' },
])
for (const outcome of outcomes) console.log(outcome.ok ? `stored as ${outcome.seq}` : `refused: ${outcome.error.code}`)

// 4. What became of it?
console.log(`order 17 is ${(await postrider.state(order)).state}`)

// 5. What devices send. Keep the id of the last one that you handled: the loop goes on behind it after a restart.
let after
try {
  for await (const { id, device, channel, payload } of postrider.uplink({ after, pollMs: 500, signal: stop.signal })) {
    console.log(`${device} ${channel}: ${JSON.stringify(payload)}`)
    after = id
  }
} catch (error) {
  if (error instanceof PushError) console.error(`it ended: ${error.code}`)
  else if (!stop.signal.aborted) throw error
}
await postrider.close()
tokens.close()
