// Many devices of the SDK in one process: `program <CrowdOrder as JSON>`. Writes a line of JSON every 100 ms: how many are live,
// and of each welcome since the last line when the attempt that led to it was due, and when it came (milliseconds of the machine's
// clock).

import { systemClock } from '../../../core/clock.js'
import { createDeviceTokens } from '../../../core/security/device-tokens.js'
import { parseTokenSecrets } from '../../../core/security/token-secrets.js'
import type { Client } from '../../../sdk/device/client.js'
import { connect } from '../../../sdk/node.js'
import { isCrowdOrder, type CrowdLine, type CrowdWelcome } from './crowd-order.js'

/** So many begin at once, then so many more: the crowd is gathered, which is not what is measured. */
const STEP = 50
const STEP_MS = 25

async function main(): Promise<void> {
  const order: unknown = JSON.parse(process.argv[2] ?? '')
  if (!isCrowdOrder(order)) throw new Error('no order')
  const { url, prefix, count, tokenSecret } = order
  const tokens = createDeviceTokens({
    secrets: parseTokenSecrets(tokenSecret, 'the secret'),
    maxTtlSeconds: 86_400,
    clock: systemClock,
  })
  let welcomes: CrowdWelcome[] = []
  let ended: string[] = []
  const clients: Client[] = []
  setInterval(() => {
    const live = clients.filter(({ state }) => state === 'live').length
    const line: CrowdLine = { live, welcomes, ended }
    process.stdout.write(`${JSON.stringify(line)}\n`)
    welcomes = []
    ended = []
  }, 100)
  for (let i = 0; i < count; i++) {
    const deviceId = `${prefix}${i}`
    const { token } = await tokens.sign(deviceId, 3_600)
    const client = connect({ urls: url, deviceId, token, handler: () => undefined })
    let due = Date.now()
    client.on('state', ({ state, waitMs }) => {
      if (state === 'catching-up') welcomes.push({ due, came: Date.now() })
      else if (waitMs !== null) due = Date.now() + waitMs
    })
    void client.closed.then((error) => ended.push(error?.code ?? 'closed'))
    clients.push(client)
    if (i % STEP === STEP - 1) await new Promise((resolve) => setTimeout(resolve, STEP_MS))
  }
}

void main()
