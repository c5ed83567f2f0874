import type { Test } from 'tap'
import type { Bus, BusHandler, Kick, Notice } from '../../core/ports/bus.js'
import { type Support } from './factory.js'
import { eventually, range } from './messages.js'

/** What a driver of the Bus port gives to the suite. */
export interface BusFactory {
  readonly name: string
  readonly supports: {
    /** `connect` gives a client of its own each time. Else every call gives the same one. */
    readonly manyClients: Support
  }
  open(t: Test): Promise<{
    /** A client of one and the same bus, as another process would have. */
    connect(): Promise<Bus>
    close(): Promise<void>
  }>
}

interface Recorder extends BusHandler {
  readonly notices: Notice[]
  readonly kicks: Kick[]
  gaps: number
}

const recorder = (onKick: (kick: Kick) => Promise<void> = async () => {}): Recorder => ({
  notices: [],
  kicks: [],
  gaps: 0,
  onNotices(notices) {
    this.notices.push(...notices)
  },
  onKick(kick) {
    this.kicks.push(kick)
    return onKick(kick)
  },
  onGap() {
    this.gaps++
  },
})

const notice = (device: string, seq: number, payload: Uint8Array = Buffer.from(`payload ${seq}`)): Notice => ({
  device,
  epoch: 'epoch',
  claimId: 'claim',
  message: {
    seq,
    at: 1_700_000_000_000 + seq,
    expiresAt: seq % 2 === 0 ? null : 1_800_000_000_000,
    priority: seq % 3 === 0 ? 'high' : 'normal',
    dedupId: seq % 2 === 0 ? null : `id ${seq}`,
    contentType: 'text/plain',
    attributes: seq % 2 === 0 ? null : [['__proto__', 'x']],
    payload,
  },
})

const plain = ({ message, ...rest }: Notice) => ({
  ...rest,
  message: { ...message, payload: Buffer.from(message.payload).toString('hex') },
})

const KICK: Kick = { device: 'd', claimId: 'c', reason: 'taken_over' }

/** The Bus port: hints between nodes. */
export function busConformance(t: Test, factory: BusFactory): void {
  const open = async (t: Test): Promise<() => Promise<Bus>> => {
    const bus = await factory.open(t)
    t.teardown(() => bus.close())
    return () => bus.connect()
  }
  const arrived = (handler: Recorder, count: number) =>
    eventually(async () => (handler.notices.length >= count ? true : undefined), 3_000, `${count} notices`)

  t.test('bus: notices reach their node whole and in order', async (t) => {
    const connect = await open(t)
    const [sender, receiver] = [await connect(), await connect()]
    const [a, b] = [recorder(), recorder()]
    await receiver.join('a', a)
    await sender.join('b', b)
    const sent = range(1, 200).map((seq) => notice('d', seq))
    for (let i = 0; i < 200; i += 8) sender.notify('a', sent.slice(i, i + 8))
    await arrived(a, 200)
    t.strictSame(a.notices.map(plain), sent.map(plain))
    t.strictSame(b.notices, [], 'and no other')
    t.equal(a.gaps, 0)
  })

  t.test('bus: a node reaches itself', async (t) => {
    const bus = await (await open(t))()
    const a = recorder()
    await bus.join('a', a)
    bus.notify('a', [notice('d', 1)])
    await arrived(a, 1)
    t.equal(await bus.kick('a', KICK, 2_000), true)
  })

  t.test('bus: an unknown node is nobody: notices are dropped, a kick is not confirmed', async (t) => {
    const bus = await (await open(t))()
    bus.notify('nobody', [notice('d', 1)])
    t.equal(await bus.kick('nobody', KICK, 50), false)
  })

  t.test('bus: a kick is confirmed when the node has done it', async (t) => {
    const connect = await open(t)
    const [sender, receiver] = [await connect(), await connect()]
    let release = (): void => {}
    const done = new Promise<void>((resolve) => (release = resolve))
    const a = recorder(() => done)
    await receiver.join('a', a)
    let confirmed: boolean | undefined
    const kicking = sender.kick('a', KICK, 5_000).then((result) => (confirmed = result))
    await eventually(async () => (a.kicks.length === 1 ? true : undefined))
    t.strictSame(a.kicks, [KICK])
    t.equal(confirmed, undefined, 'not before')
    release()
    await kicking
    t.equal(confirmed, true)
  })

  t.test('bus: a kick that takes too long is not confirmed, in time', async (t) => {
    const connect = await open(t)
    const [sender, receiver] = [await connect(), await connect()]
    await receiver.join(
      'a',
      recorder(() => new Promise(() => {})),
    )
    const start = performance.now()
    t.equal(await sender.kick('a', KICK, 100), false)
    const took = performance.now() - start
    t.ok(took > 90 && took < 600, `${took} ms`)
  })

  t.test('bus: kicks of many devices at once are confirmed each for itself', async (t) => {
    const connect = await open(t)
    const [sender, receiver] = [await connect(), await connect()]
    const handler = recorder(({ claimId }) => (claimId.endsWith('3') ? new Promise(() => {}) : Promise.resolve()))
    await receiver.join('a', handler)
    const claims = range(1, 20).map((i) => `claim-${i}`)
    const results = await Promise.all(claims.map((claimId) => sender.kick('a', { ...KICK, claimId }, 300)))
    t.strictSame(
      results,
      claims.map((id) => !id.endsWith('3')),
    )
  })

  t.test('bus: a handler that fails harms no sender and no other notice', async (t) => {
    const connect = await open(t)
    const [sender, receiver] = [await connect(), await connect()]
    const a = recorder(() => Promise.reject(new Error('broken')))
    let failures = 0
    await receiver.join('a', {
      onNotices(notices) {
        if (failures++ === 0) throw new Error('broken')
        a.onNotices(notices)
      },
      onKick: (kick) => a.onKick(kick),
      onGap: () => a.onGap(),
    })
    sender.notify('a', [notice('d', 1)])
    sender.notify('a', [notice('d', 2)])
    await arrived(a, 1)
    t.equal(a.notices[0]?.message.seq, 2)
    t.equal(a.gaps, 1, 'what was lost is looked for')
    t.equal(await sender.kick('a', KICK, 1_000), false)
  })

  t.test('bus: a handler that sends is not called inside itself, and order holds', async (t) => {
    const bus = await (await open(t))()
    const seen: number[] = []
    let depth = 0
    await bus.join('a', {
      onNotices(notices) {
        t.equal(++depth, 1)
        for (const { message } of notices) {
          seen.push(message.seq)
          if (message.seq < 20) bus.notify('a', [notice('d', message.seq + 1)])
        }
        depth--
      },
      onKick: async () => {},
      onGap: () => {},
    })
    bus.notify('a', [notice('d', 1)])
    await eventually(async () => (seen.length === 20 ? true : undefined))
    t.strictSame(seen, range(1, 20))
  })

  t.test('bus: who left receives nothing more, and may come again', async (t) => {
    const connect = await open(t)
    const [sender, receiver] = [await connect(), await connect()]
    const [first, second, other] = [recorder(), recorder(), recorder()]
    await receiver.join('a', first)
    await receiver.join('other', other)
    await receiver.leave('a')
    await receiver.leave('a')
    sender.notify('a', [notice('d', 1)])
    t.equal(await sender.kick('a', KICK, 50), false)
    await receiver.join('a', second)
    sender.notify('a', [notice('d', 2)])
    await arrived(second, 1)
    t.strictSame(first.notices, [])
    t.equal(second.notices[0]?.message.seq, 2)
  })

  t.test('bus: nodes are those that joined; a live name is taken', async (t) => {
    const connect = await open(t)
    const [one, two] = [await connect(), await connect()]
    t.strictSame(await one.nodes(), [])
    await one.join('a', recorder())
    await two.join('b', recorder())
    t.strictSame((await one.nodes()).toSorted(), ['a', 'b'])
    await t.rejects(two.join('a', recorder()))
    await one.leave('a')
    t.strictSame(await two.nodes(), ['b'])
    await two.join('a', recorder())
  })

  t.test('bus: closed, it drops, confirms nothing, and lets nobody join', async (t) => {
    const bus = await (await open(t))()
    const a = recorder()
    await bus.join('a', a)
    await bus.close()
    await bus.close()
    bus.notify('a', [notice('d', 1)])
    t.equal(await bus.kick('a', KICK, 50), false)
    await t.rejects(bus.join('b', recorder()))
    t.strictSame(a.notices, [])
  })

  // What a driver says that it cannot be is no test of it.
  if (factory.supports.manyClients === true)
    t.test('bus: the end of one client is no end of another', async (t) => {
      const connect = await open(t)
      const [one, two, three] = [await connect(), await connect(), await connect()]
      const [b, c] = [recorder(), recorder()]
      await one.join('a', recorder())
      await two.join('b', b)
      await three.join('c', c)
      await one.close()
      three.notify('b', [notice('d', 1)])
      await arrived(b, 1)
      t.equal(await two.kick('c', KICK, 2_000), true)
      await eventually(
        async () => ((await two.nodes()).includes('a') ? undefined : true),
        15_000,
        'a is no node any more',
      )
    })
}
