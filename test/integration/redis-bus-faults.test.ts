// What the bus does when Redis, its connections or its packets fail: everything that may be lost is told as a gap.

import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { noticesPacket, encodeNotice } from '../../core/bus/redis/packet.js'
import { NEWEST_FORMAT } from '../../core/stores/redis/formats.js'
import { busChannel } from '../../core/stores/redis/keys.js'
import { killSubscribers } from '../support/cluster.js'
import { busOf, Heard, noticeOf } from '../support/redis/bus.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { pause, until } from '../support/road/wait.js'
import { stopwatch } from '../support/stopwatch.js'

const skip = { skip: noRedis }

/** Two processes: `receiver` is the node `a`. */
async function twoProcesses(t: Test) {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const [sender, receiver] = [await busOf(t, server.url), await busOf(t, server.url)]
  const heard = new Heard()
  await receiver.bus.join('a', heard)
  const arrived = (seq: number) => until(`notice ${seq}`, () => heard.seqs.includes(seq), 5_000)
  return { server, sender, receiver, heard, arrived }
}

t.test('redis bus: a subscriber that is killed listens again, and a gap is told at once', skip, async (t) => {
  const { server, sender, receiver, heard, arrived } = await twoProcesses(t)
  sender.bus.notify('a', [noticeOf(1)])
  await arrived(1)
  const elapsed = stopwatch(t)
  t.equal(await killSubscribers(server), 1)
  await until('the gap', () => heard.gaps === 1, 30_000)
  const took = elapsed()
  t.ok(took < 1_000, `after ${Math.round(took)} ms`)
  sender.bus.notify('a', [noticeOf(2)])
  await arrived(2)
  t.equal(heard.gaps, 1, 'and no second one')
  t.equal(receiver.counters.subscriptionsLost, 1)
  t.equal(await sender.bus.kick('a', { device: 'd', claimId: 'c', reason: 'revoked' }, 2_000), true)
})

t.test('redis bus: a server that is frozen for 5 s is noticed, and a gap is told when it is back', skip, async (t) => {
  const { server, sender, receiver, heard, arrived } = await twoProcesses(t)
  sender.bus.notify('a', [noticeOf(1)])
  await arrived(1)
  server.signal('SIGSTOP')
  const from = performance.now()
  await until('the silence', () => receiver.counters.subscriptionsSilent > 0, 5_000)
  const noticed = performance.now() - from
  t.ok(noticed <= 3_000, `noticed after ${Math.round(noticed)} ms`)
  for (let seq = 2; performance.now() - from < 5_000; seq++) {
    const at = performance.now()
    sender.bus.notify('a', [noticeOf(seq)])
    if (performance.now() - at > 50) t.fail('notify blocked')
    await pause(20)
  }
  t.equal(await sender.bus.kick('a', { device: 'd', claimId: 'c', reason: 'taken_over' }, 200), false)
  server.signal('SIGCONT')
  const back = performance.now()
  await until('the gap', () => heard.gaps > 0, 5_000)
  t.comment(`the gap was told ${Math.round(performance.now() - back)} ms after the server was back`)
  await until('notices to go through again', () => {
    sender.bus.notify('a', [noticeOf(1_000_000)])
    return heard.seqs.includes(1_000_000)
  })
})

t.test('redis bus: without an answer nothing waits without bound', skip, async (t) => {
  const { server, sender, heard } = await twoProcesses(t)
  server.signal('SIGSTOP')
  const large = noticeOf(1, randomBytes(256 * 1024))
  let slowest = 0
  for (let i = 0; i < 400; i++) {
    // It does not wait for anything, so that its time is the processor's.
    const before = process.cpuUsage()
    sender.bus.notify('a', [large])
    const { user, system } = process.cpuUsage(before)
    slowest = Math.max(slowest, (user + system) / 1_000)
    if (i % 20 === 0) await pause(0)
  }
  t.ok(sender.counters.noticesDropped > 200, `${sender.counters.noticesDropped} of 400 were dropped at once`)
  t.ok(slowest < 100, `the slowest took ${Math.round(slowest)} ms`)
  server.signal('SIGCONT')
  await until('the gap', () => heard.gaps > 0, 6_000)
})

t.test('redis bus: what the sender could not send is told by a mark when no packet follows', skip, async (t) => {
  const { server, sender, receiver, heard, arrived } = await twoProcesses(t)
  sender.bus.notify('a', [noticeOf(1)])
  await arrived(1)
  // The sender's connection alone ends: of the clients that subscribe to nothing, the first one after the test's own.
  const clients = String(await server.admin.client('LIST')).split('\n')
  const ids = clients.flatMap((line) =>
    /name=postrider/.test(line) && / ssub=0/.test(line) ? [/^id=(\d+)/.exec(line)?.[1] ?? ''] : [],
  )
  t.equal(ids.length, 2)
  await server.admin.client('KILL', 'ID', ids[0] ?? '')
  await until('the send to fail', () => {
    sender.bus.notify('a', [noticeOf(2)])
    return sender.counters.packetsFailed > 0
  })
  await until('the gap', () => heard.gaps > 0, 3_000)
  t.equal(receiver.counters.subscriptionsLost, 0)
  t.ok(receiver.counters.gaps > 0)
})

/** Packets as another process would send them. */
async function raw(t: Test) {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const receiver = await busOf(t, server.url)
  const heard = new Heard()
  await receiver.bus.join('a', heard)
  const send = (packet: Buffer) => server.admin.call('spublish', busChannel(0, 'a'), packet)
  const packet = (stream: Buffer, number: number, seq: number) =>
    noticesPacket(stream, number, [[encodeNotice(noticeOf(seq))]])
  return {
    receiver,
    heard,
    send,
    packet,
    arrived: (seq: number) => until(`${seq}`, () => heard.seqs.includes(seq), 3_000),
  }
}

t.test('redis bus: a missing number is a gap; what comes twice or late is not handed over', skip, async (t) => {
  const { receiver, heard, send, packet, arrived } = await raw(t)
  const [one, two] = [randomBytes(8), randomBytes(8)]
  for (const n of [1, 2, 3]) await send(packet(one, n, n))
  await send(packet(two, 1, 101))
  await send(packet(one, 3, 3))
  await send(packet(two, 2, 102))
  await send(packet(one, 4, 4))
  await arrived(4)
  t.strictSame(heard.seqs, [1, 2, 3, 101, 102, 4], 'two senders, each in its order, nothing twice')
  t.equal(heard.gaps, 0)
  t.equal(receiver.counters.packetsRepeated, 1)
  await send(packet(one, 6, 6))
  await arrived(6)
  t.equal(heard.gaps, 1, 'five is missing')
  await send(packet(one, 5, 5))
  await send(packet(two, 3, 103))
  await arrived(103)
  t.strictSame(heard.seqs.slice(6), [6, 103], 'and is not handed over behind six')
  t.equal(heard.gaps, 1)
  await send(packet(randomBytes(8), 2, 202))
  await arrived(202)
  t.equal(heard.gaps, 2, 'the first packet of a third one is missing')
})

t.test('redis bus: a packet of a newer version, and one that is none, are dropped and counted', skip, async (t) => {
  const { receiver, heard, send, packet, arrived } = await raw(t)
  const stream = randomBytes(8)
  const newer = packet(stream, 1, 1)
  newer[0] = NEWEST_FORMAT + 1
  await send(newer)
  await send(Buffer.alloc(0))
  await send(randomBytes(40).fill(0, 0, 1))
  await send(packet(stream, 1, 9).subarray(0, 40))
  await send(packet(stream, 1, 2))
  await arrived(2)
  t.strictSame(heard.seqs, [2])
  t.equal(receiver.counters.packetsNewer, 1)
  t.equal(receiver.counters.packetsMalformed, 3)
  t.equal(heard.gaps, 0)
})

t.test('redis bus: a node that is gone without a word is forgotten, and its name is free', skip, async (t) => {
  const { server, sender, heard } = await twoProcesses(t)
  await t.rejects(sender.bus.join('a', heard), { message: /named "a" already/ })
  // As a process that was killed leaves it, a while later.
  await server.admin.zadd('pr-bus:{nodes}', 1, 'b')
  await server.admin.hset('pr-bus:{nodes}:ids', 'b', 'gone')
  t.strictSame(await sender.bus.nodes(), ['a'])
  await sender.bus.join('b', new Heard())
  t.strictSame([...(await sender.bus.nodes())].toSorted(), ['a', 'b'])
})
