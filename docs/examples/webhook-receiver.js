// Takes the events of Postrider: PORT=3000 SECRET=whsec_… node webhook-receiver.js
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const secret = Buffer.from((process.env.SECRET ?? '').replace(/^whsec_/, ''), 'base64')

/** The event, or null: somebody else made it, changed it, or sends it again after more than five minutes. */
function verify(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures = '' } = headers
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) < 300)) return null
  const wanted = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest()
  // Several while a secret is being replaced: one of them must be right.
  const right = signatures.split(' ').some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ''), 'base64')
    return given.length === wanted.length && timingSafeEqual(given, wanted)
  })
  return right ? JSON.parse(body) : null
}

/** Ids that were taken: the same event may come twice. A real backend keeps them in its database, for two days. */
const taken = new Set()

async function handle({ type, data }) {
  switch (type) {
    case 'device.offline_with_pending':
      console.log(`wake ${data.device}: ${data.pending} waiting`) // here goes the call of FCM or APNs
      return
    case 'message.handled':
      console.log(`${data.device} has handled ${data.epoch}/${data.seq}`)
      return
    default:
      console.log(type, JSON.stringify(data))
  }
}

const server = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  const event = verify(request.headers, body)
  if (event === null) {
    response.writeHead(401).end()
    return
  }
  const id = request.headers['webhook-id']
  try {
    if (!taken.has(id)) await handle(event)
    taken.add(id)
    response.writeHead(204).end()
  } catch {
    response.writeHead(500).end() // it comes again, and this device's later events behind it
  }
})
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
