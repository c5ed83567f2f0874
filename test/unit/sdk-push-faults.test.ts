// The backend's client against a server that loses, cuts and refuses: properties that hold for every course of events.

import * as fc from 'fast-check'
import t from 'tap'
import { PushError } from '../../sdk/server/push-error.js'
import { settle } from '../support/sdk/handling-rig.js'
import { PushRig, refusal, type Sent } from '../support/sdk/push-rig.js'

/** What a server does with a request: `lost`: it never arrived; `cut`: it was stored, and the answer was lost. */
const fate = fc.record({
  kind: fc.constantFrom('ok', 'ok', 'ok', 'lost', 'cut', 'overloaded', 'some'),
  bits: fc.nat(255),
  pick: fc.nat(10),
})

void t.test(
  'SDK push: whatever is lost, cut or refused for a while, every message is stored once and in order',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fate, { maxLength: 30 }),
        fc.array(fc.nat(2), { minLength: 1, maxLength: 20 }),
        async (fates, devices) => {
          const rig = new PushRig({ retryForMs: 1_000_000_000 })
          /** Per device: what was stored, in order, by dedup id. */
          const stored = new Map<string, Map<string, unknown>>()
          const store = ({ device, dedupId, payload }: Sent['items'][number]): object => {
            const log = stored.get(device) ?? new Map<string, unknown>()
            stored.set(device, log)
            const duplicate = log.has(dedupId)
            if (!duplicate) log.set(dedupId, payload)
            return {
              device,
              seq: [...log.keys()].indexOf(dedupId) + 1,
              epoch: 'e',
              ...(duplicate ? { duplicate } : {}),
            }
          }
          const results = devices.map((device, i) => rig.push(`d${device}`, i))
          const left = [...fates]
          for (let turns = 0; rig.queue.waiting > 0; turns++) {
            if (turns > 1_000) throw new Error('it does not come to an end')
            await settle()
            if (rig.sent.length === 0) {
              rig.clock.advance(rig.clock.next ?? 0)
              continue
            }
            const { kind, bits, pick } = left.shift() ?? { kind: 'ok', bits: 0, pick: 0 }
            const [request] = rig.sent.splice(pick % rig.sent.length, 1)
            if (request === undefined) continue
            if (kind === 'lost') request.fail(new PushError('network', 'lost'))
            else if (kind === 'overloaded')
              request.fail(new PushError('overloaded', 'later', { status: 503, retryAfterMs: 500 }))
            else if (kind === 'cut') {
              request.items.forEach(store)
              request.fail(new PushError('timeout', 'cut'))
            } else {
              // The store fails for whole devices: all messages of one are one step in it.
              const failing = (device: string): boolean =>
                kind === 'some' && (bits & (1 << Number(device.slice(1)))) !== 0
              request.answer({
                results: request.items.map((item) =>
                  failing(item.device) ? refusal('store_unavailable') : store(item),
                ),
              })
            }
          }
          const answers = await Promise.all(results)
          devices.forEach((device, i) => {
            const mine = devices.flatMap((each, j) => (each === device ? [j] : []))
            if (answers[i]?.seq !== mine.indexOf(i) + 1) throw new Error(`message ${i} has seq ${answers[i]?.seq}`)
          })
          const wrong = [...stored.values()].find((log) => {
            const payloads = [...log.values()].map(Number)
            return payloads.some((payload, i) => i > 0 && payload <= (payloads[i - 1] ?? -1))
          })
          if (wrong !== undefined) throw new Error(`stored ${[...wrong.values()].join(' ')}`)
        },
      ),
      { numRuns: process.env['CI_LONG'] === undefined ? 150 : 3_000 },
    )
  },
)
