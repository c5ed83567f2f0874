// Redis itself is killed in the middle of appends and acks, with `appendfsync always`: everything that was answered is there.

import t from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openRedisStore } from '../../core/stores/redis/open.js'
import { accepted, eventually, message, range, textOf } from '../conformance/messages.js'
import { noRedis, startRedis } from '../support/redis/server.js'

const ROUNDS = process.env['CI_LONG'] === undefined ? 5 : 40
const DEVICES = ['a', 'b', 'c']

t.test(`redis kill: killed ${ROUNDS} times, everything that was answered is there`, { skip: noRedis }, async (t) => {
  const redis = await startRedis(['--appendfsync', 'always'])
  const store = await openRedisStore({
    url: redis.url,
    limits: { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 1_000_000, inboxMaxBytes: 1 << 30 },
    log: createLogger({ level: 'silent' }),
  })
  t.teardown(async () => {
    await store.close()
    await redis.stop()
  })
  const { mailbox } = store
  /** What was answered first. */
  const known = new Map<string, { readonly device: string; readonly seq: number; readonly epoch: string }>()
  const cursors = new Map(DEVICES.map((device) => [device, 0]))
  const state = { stop: false, unknown: 0, refused: 0 }

  async function append(device: string, worker: number): Promise<void> {
    for (let n = 0; !state.stop; n++) {
      const dedupId = `${device}-${worker}-${n}`
      for (;;) {
        const [result] = await mailbox.append([message(device, { dedupId, payload: dedupId })])
        if (result?.ok === true) {
          known.set(dedupId, { device, seq: result.seq, epoch: result.epoch })
          break
        }
        if (result?.code === 'outcome_unknown') state.unknown++
        else state.refused++
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
  }
  async function acknowledge(device: string): Promise<void> {
    while (!state.stop) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      const info = await mailbox.info(device).catch(() => null)
      if (info === null) continue
      const position = { epoch: info.epoch, seq: Math.floor((info.cursor + info.head) / 2) }
      const [result] = await mailbox.ack([{ device, position }]).catch(() => [])
      if (result?.counted === true) cursors.set(device, Math.max(cursors.get(device) ?? 0, result.cursor))
    }
  }
  const working = Promise.all(
    DEVICES.flatMap((device) => [...range(1, 4).map((worker) => append(device, worker)), acknowledge(device)]),
  )
  for (let round = 1; round <= ROUNDS; round++) {
    const before = known.size
    while (known.size < before + 60) await new Promise((resolve) => setTimeout(resolve, 5))
    await redis.restart('SIGKILL')
  }
  const last = known.size
  while (known.size < last + 60) await new Promise((resolve) => setTimeout(resolve, 5))
  state.stop = true
  await working

  // The last kill may not be over.
  await eventually(
    async () =>
      mailbox.ping().then(
        () => true,
        () => undefined,
      ),
    10_000,
    'Redis serves',
  )
  for (const device of DEVICES) {
    const mine = [...known].filter(([, place]) => place.device === device)
    const info = await mailbox.info(device)
    t.equal(info?.head, mine.length, `${device}: as many as were answered, each once`)
    t.equal(new Set(mine.map(([, { seq }]) => seq)).size, mine.length)
    t.ok((info?.cursor ?? 0) >= (cursors.get(device) ?? 0), `${device}: every answered ack`)
    const again = (await mailbox.append(mine.map(([id]) => message(device, { dedupId: id, payload: id })))).map(
      accepted,
    )
    t.strictSame(
      again.map(({ seq, epoch, duplicate }) => ({ seq, epoch, duplicate })),
      mine.map(([, { seq, epoch }]) => ({ seq, epoch, duplicate: true })),
      `${device}: the first answer again`,
    )
    const bySeq = new Map(mine.map(([id, { seq }]) => [seq, id]))
    const peek = await mailbox.peek(device, { after: 0, limit: 1_000_000, maxBytes: 1 << 30 })
    t.ok(peek?.messages.every(({ message: m }) => textOf(m.payload) === bySeq.get(m.seq)))
  }
  t.comment(`${known.size} appended, ${state.unknown} unknown, ${state.refused} refused meanwhile`)
})
