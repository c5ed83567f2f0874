// What can happen to nodes.

import { pause } from '../road/wait.js'
import { scrape } from '../scrape.js'
import type { TestServer } from '../server.js'
import { ACK_GRACE_MS } from './judge.js'
import { machineNow } from './machine-time.js'
import type { Scenario } from './scenario.js'
import type { World, WorldNode } from './world.js'

const FROZEN_MS = 10_000
/** After so long a load balancer knows that a node does not answer. */
const HEALTH_MS = 1_000

function first(nodes: readonly WorldNode[]): WorldNode {
  const [node] = nodes
  if (node === undefined) throw new Error('the world has no such node')
  return node
}

/** The broker with the most devices. */
const busiest = ({ brokers, balancer }: World): WorldNode =>
  first(brokers.toSorted((a, b) => balancer.open(b.name) - balancer.open(a.name)))

/** SIGTERM, and the same node again. */
async function restart(world: World, node: WorldNode): Promise<void> {
  const { balancer } = world
  if (node.role === 'broker') balancer.admit(node.name, false)
  await world.breaking(node.name, async () => {
    const { code } = await node.server.stop()
    if (code !== 0) throw new Error(`${node.name} did not stop in good order: ${code}`)
  })
  await node.server.restart()
  if (node.role === 'broker') balancer.admit(node.name, true)
}

/**
 * How old an ack may be that the store does not have. A node waits 150 ms for company, and has one call of the store under way at a
 * time, so where one takes longer than that it is two calls: as the node itself has just measured them.
 */
async function ackGraceMs(server: TestServer): Promise<number> {
  const before = await ackCalls(server)
  await pause(2_000)
  const after = await ackCalls(server)
  let slowest = 0
  for (const [upTo, count] of after) if (count > (before.get(upTo) ?? 0)) slowest = Math.max(slowest, upTo)
  return Math.max(ACK_GRACE_MS, 2 * slowest)
}

/** Calls by the upper end of how long they took, in milliseconds. */
async function ackCalls(server: TestServer): Promise<ReadonlyMap<number, number>> {
  const samples = (await scrape(server)).get('postrider_store_operation_seconds')?.samples ?? []
  const buckets = samples
    .filter(({ name, labels }) => name.endsWith('_bucket') && labels.get('operation') === 'ack')
    .map(({ labels, value }) => [Number(labels.get('le')) * 1_000, value] as const)
    .filter(([upTo]) => Number.isFinite(upTo))
    .toSorted(([a], [b]) => a - b)
  return new Map(buckets.map(([upTo, value], i) => [upTo, value - (buckets[i - 1]?.[1] ?? 0)]))
}

export const brokerKilled: Scenario = {
  name: 'SIGKILL of a broker',
  async run(world) {
    const { name, server } = busiest(world)
    const graceMs = await ackGraceMs(server)
    await world.breaking(name, async () => void (await server.kill('SIGKILL')), { graceMs })
    world.recoveryMs = await world.recovered(machineNow())
    await server.restart()
  },
}

export const apiKilled: Scenario = {
  name: 'SIGKILL of an API',
  staysConnected: true,
  async run(world) {
    const { server } = first(world.apis)
    await server.kill('SIGKILL')
    await pause(3_000)
    await server.restart()
  },
}

export const apiFrozen: Scenario = {
  name: 'SIGSTOP of an API for 6 s, SIGCONT',
  staysConnected: true,
  async run(world) {
    const { child } = first(world.apis).server
    child.signal('SIGSTOP')
    await pause(6_000)
    child.signal('SIGCONT')
  },
}

export const brokerFrozen: Scenario = {
  name: 'SIGSTOP of a broker for 10 s, SIGCONT',
  async run(world) {
    const { name, server } = busiest(world)
    await world.breaking(name, async () => {
      server.child.signal('SIGSTOP')
      await pause(HEALTH_MS)
      world.balancer.admit(name, false)
      await pause(FROZEN_MS - HEALTH_MS)
      server.child.signal('SIGCONT')
    })
    world.balancer.admit(name, true)
  },
}

export const brokerCutOff: Scenario = {
  name: 'a broker is cut off from Redis for 5 s',
  async run(world) {
    const { name, way } = busiest(world)
    await world.breaking(name, async () => {
      way?.set('hold')
      await pause(HEALTH_MS)
      world.balancer.admit(name, false)
      await pause(5_000 - HEALTH_MS)
      way?.set('pass')
    })
    world.balancer.admit(name, true)
  },
}

export const rollingRestart: Scenario = {
  name: 'rolling restart of all nodes',
  async run(world) {
    for (const node of world.nodes) {
      await restart(world, node)
      await world.allReady()
    }
  },
}
