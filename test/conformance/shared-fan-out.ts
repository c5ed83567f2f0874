// A message to more sessions than one step writes to: it takes several, and nobody may see that.

import type { Test } from 'tap'
import { subscription, TestNode } from '../support/pubsub/shared-node.js'
import { until } from '../support/road/wait.js'
import type { StoreFactory } from './factory.js'
import { message, type Rig, rig } from './shared-sessions.js'

const FAN_OUT = 20
/** More than Redis packs: what is packed comes in one step. */
const COUNT = 800
const client = (n: number): string => `client-${n}`
const all = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n)

/** The message is on its way: who does not have it yet. */
async function begun(queue: Rig['queue']): Promise<string> {
  for (;;) {
    const some = await Promise.all(all(40).map(async (n) => ({ id: client(n), texts: await queue(client(n)) })))
    const late = some.find(({ texts }) => texts.length === 0)
    if (late === undefined) throw new Error('it was too quick')
    if (some.some(({ texts }) => texts.length > 0)) return late.id
  }
}

export function sharedFanOutConformance(t: Test, factory: StoreFactory): void {
  const name = (what: string): string => `${factory.name}: shared sessions, fan-out: ${what}`

  t.test(name('everybody gets everything once, in one order for all'), async (t) => {
    const { a, b, queue } = await rig(t, factory, { fanOut: FAN_OUT })
    for (const n of all(COUNT))
      await (n % 2 === 0 ? a : b).session(client(n), String(n), ...(n % 3 === 0 ? ['x/#', 'x/y'] : ['x/y']))
    for (const n of all(COUNT)) if (n % 4 === 0) await a.leave(client(n), String(n))
    await b.session('few', 'few', 'z')
    await b.open('clean', 'clean', { clean: true })
    await b.node.subscribe({ client: 'clean', conn: 'clean' }, false, [subscription('#')])
    const received = { client: 'few', conn: 'few', packetId: 7 }
    await Promise.all([
      ...all(10).map((i) => a.node.publish(message('x/y', `a${i}`), null)),
      ...all(10).map((i) => b.node.publish(message('x/y', `b${i}`, 2, i === 9), i === 3 ? received : null)),
      b.node.publish(message('z', 'z'), null),
    ])
    await b.node.publish(message('x/y', 'noted before', 2), received)
    const order = await queue(client(0))
    t.equal(order.length, 20)
    for (const from of ['a', 'b']) {
      t.strictSame(
        order.filter((text) => text.startsWith(from)),
        all(10).map((i) => `${from}${i}`),
        'of a node in the order of its calls',
      )
    }
    for (const n of all(COUNT)) t.strictSame(await queue(client(n)), order, client(n))
    t.strictSame(await queue('few'), ['z'])
    const seen = () => b.got.filter((text) => text.startsWith('* x/y')).map((text) => text.split(' ')[2])
    await until('the client without a session to get all', () => seen().length === 20)
    t.strictSame(seen(), order, 'it too, once each')
  })

  t.test(name('who leaves on the way gets nothing more, wills wait for their turn'), async (t) => {
    const { a, b, queue } = await rig(t, factory, { fanOut: 2 })
    for (const n of all(COUNT)) await a.session(client(n), String(n), 'x')
    await b.open('dying', 'd', { will: message('x', 'will') })
    const published = a.node.publish(message('x', 'first'), null)
    const late = await begun(queue)
    const leaves = b.leave('dying', 'd', true)
    // Before, in the middle or behind: it never gets what it does not subscribe to.
    await b.node.open({ client: late, conn: 'again', clean: true, uses: true, will: null })
    await b.node.open({ client: late, conn: 'once more', clean: false, uses: true, will: null })
    await b.node.subscribe({ client: late, conn: 'once more' }, true, [subscription('other')])
    await Promise.all([published, leaves])
    await a.node.publish(message('x', 'second'), null)
    const other = client(late === client(0) ? 1 : 0)
    await until('the will', async () => (await queue(other)).length === 3)
    const order = await queue(other)
    t.strictSame(order.toSorted(), ['first', 'second', 'will'])
    t.ok(order.indexOf('first') < order.indexOf('second'))
    for (const id of all(COUNT).map(client)) if (id !== late) t.strictSame(await queue(id), order, id)
    t.strictSame(await queue(late), [])
  })

  t.test(name('a message whose publisher dies on the way comes to all, once'), async (t) => {
    const { a, another, cutOff, queue } = await rig(t, factory, { fanOut: 5, leaseMs: 2_000 })
    for (const n of all(COUNT)) await a.session(client(n), String(n), 'x')
    const process = await another()
    const dying = await TestNode.join(process)
    const publishing = dying.node.publish(message('x', 'first'), null).then(
      () => 'told',
      () => 'not told',
    )
    await begun(queue)
    await cutOff(process)
    t.comment(`its publisher was ${await publishing}`)
    await until('all to have it', async () => {
      const queues = await Promise.all(all(COUNT).map((n) => queue(client(n))))
      return queues.every(({ length }) => length === 1)
    })
    await a.node.publish(message('x', 'second'), null)
    for (const n of all(COUNT)) t.strictSame(await queue(client(n)), ['first', 'second'], client(n))
  })
}
