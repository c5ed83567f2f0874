// Run by `helm test`: pushes a message as a backend does, receives it as the device does, and asks whether it is handled.
// Every run has a device of its own, which is deleted at the end.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'

const { POSTRIDER_TEST_COMMAND: command, POSTRIDER_URL: url, POSTRIDER_MQTT_URL: mqttUrl } = process.env
// A comma list while keys are changed, as the Secret has it: the first is the newest.
const apiKey = (process.env.POSTRIDER_API_KEY ?? '').split(',')[0].trim()
const device = `helm-test-${randomUUID()}`
const payload = `hello ${device}`
const PATIENCE_MS = 60_000

/** What the command printed; rejects when it fails or takes too long. */
function postrider(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [command, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: PATIENCE_MS,
    })
    let text = ''
    child.stdout.on('data', (chunk) => (text += chunk))
    child.once('error', reject)
    child.once('close', (code, signal) =>
      code === 0 ? resolve(text.trim()) : reject(new Error(`postrider ${args[0]} ended with ${code ?? signal}`)),
    )
  })
}

async function call(method) {
  const response = await fetch(`${url}/v1/devices/${device}`, {
    method,
    headers: { authorization: `Bearer ${apiKey}` },
    signal: AbortSignal.timeout(10_000),
  })
  if (!response.ok) throw new Error(`${method} of the device: ${response.status} ${await response.text()}`)
  return response.status === 204 ? null : response.json()
}

console.log('pushed:', await postrider('push', device, payload))
try {
  const received = await postrider(...(mqttUrl ? ['listen', device, '--count', '1'] : ['peek', device]))
  if (!received.endsWith(payload)) throw new Error(`not what was pushed: ${received}`)
  if (mqttUrl) {
    const { head, cursor, pending } = await call('GET')
    if (cursor !== head || pending !== 0)
      throw new Error(`not handled: cursor ${cursor} of ${head}, ${pending} pending`)
    console.log('received and handled:', received)
  } else {
    console.log('seen over REST, because no listener without TLS is on; set tests.mqttUrl to receive it:', received)
  }
} finally {
  await call('DELETE')
}
