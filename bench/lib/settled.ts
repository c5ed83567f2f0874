// When acknowledgements have reached the store: by the server's own count of handled messages while it goes on, and in the end by what
// the REST API says of every device, because a step whose outcome nobody told is done and in no count.
import { setTimeout as delay } from 'node:timers/promises'
import { array, nullable, number, object, string } from './decode.js'
import { nowMicros } from './marks.js'
import type { Postrider } from './server.js'

const HANDLED = /^postrider_messages_handled_total (\d+)/m
const LOOK_MS = 50
/** The count does not go on for so long: it has ended. */
const QUIET_MS = 3_000
const TRIES = 20

const page = object({ devices: array(object({ pending: number })), next: nullable(string) })

/** Resolves with the time of the last one when so many are handled; rejects when something waits that was acknowledged. */
export async function handled(server: Postrider, delivered: number): Promise<number> {
  const url = `http://${server.host}:${server.ports.admin}/metrics`
  let count = 0
  let last = nowMicros()
  while (count < delivered && nowMicros() - last < QUIET_MS * 1000) {
    const now = Number(HANDLED.exec(await (await fetch(url)).text())?.[1] ?? 0)
    if (now > count) last = nowMicros()
    count = now
    if (count < delivered) await delay(LOOK_MS)
  }
  let waiting = await pending(server)
  for (let tries = 0; waiting > 0 && tries < TRIES; tries++) {
    await delay(10 * LOOK_MS)
    waiting = await pending(server)
    if (waiting === 0) last = nowMicros()
  }
  if (waiting > 0) throw new Error(`${waiting} messages wait that were acknowledged\n${server.stderr()}`)
  return last
}

/** Messages that wait, of all devices together. */
async function pending({ host, ports, apiKey }: Postrider): Promise<number> {
  let sum = 0
  for (let after: string | null = ''; after !== null;) {
    const query: string = after === '' ? '' : `&after=${encodeURIComponent(after)}`
    const answer = await fetch(`http://${host}:${ports.http}/v1/devices?limit=100${query}`, {
      headers: { authorization: `Bearer ${apiKey}` },
    })
    const { devices, next } = page(await answer.json(), 'devices')
    for (const device of devices) sum += device.pending
    after = next
  }
  return sum
}
