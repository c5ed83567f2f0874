// Deployments and Services of the chart on this machine: as many pods as a Deployment wants, replaced as it says, and connections
// led to them as a Service does.

import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { ExitStatus } from '../child.js'
import { array, at, type Json, string } from './chart.js'
import { Pod } from './pod.js'

export class Deployment {
  readonly name: string
  /** Those that are there, the ending ones too. */
  pods: readonly Pod[] = []
  readonly #t: Test
  readonly #content: Json
  readonly #secrets: ReadonlyMap<string, string>
  readonly #patienceMs: number

  constructor(t: Test, content: Json, secrets: ReadonlyMap<string, string>, patienceMs = 120_000) {
    this.name = string(content, 'metadata.name')
    this.#t = t
    this.#content = content
    this.#secrets = secrets
    this.#patienceMs = patienceMs
  }

  async start(): Promise<this> {
    await Promise.all(Array.from({ length: Number(at(this.#content, 'spec.replicas')) }, () => this.#add()))
    return this
  }

  /**
   * Replaces every pod: a new one, and when that has been ready for minReadySeconds, an old one is asked to end. As a Deployment
   * with maxSurge 1 and maxUnavailable 0 it does not wait for the end of the old one before it goes on. How each ended; null: by
   * SIGKILL.
   */
  async roll(): Promise<ReadonlyArray<ExitStatus | null>> {
    const { maxSurge, maxUnavailable } = { ...this.#strategy() }
    if (maxSurge !== 1 || maxUnavailable !== 0) throw new RangeError('another strategy than this one knows')
    const ends: Array<Promise<ExitStatus | null>> = []
    const before = this.pods
    for (const old of before) {
      await this.#add()
      ends.push(
        old.terminate().then((status) => {
          this.pods = this.pods.filter((pod) => pod !== old)
          return status
        }),
      )
    }
    return Promise.all(ends)
  }

  #strategy(): { readonly maxSurge: Json; readonly maxUnavailable: Json } {
    const rolling = at(this.#content, 'spec.strategy.rollingUpdate')
    return { maxSurge: at(rolling, 'maxSurge'), maxUnavailable: at(rolling, 'maxUnavailable') }
  }

  async #add(): Promise<void> {
    const pod = await Pod.start(this.#t, at(this.#content, 'spec.template'), this.#secrets)
    this.pods = [...this.pods, pod]
    await pod.untilAvailable(Number(at(this.#content, 'spec.minReadySeconds')), this.#patienceMs)
  }
}

/** How long it takes until the machines' rules no more send connections to a pod that ends. */
const RULES_LAG_MS = 1_000

export class Service {
  readonly #content: Json
  readonly #deployments: readonly Deployment[]
  #turn = 0

  constructor(content: Json, deployments: readonly Deployment[]) {
    this.#content = content
    this.#deployments = deployments
  }

  /** The port here of the pod that a new connection to this port of the Service is led to. 0: there is none. */
  endpoint(name: string): number {
    const port = array(this.#content, 'spec.ports').find((each) => string(each, 'name') === name)
    const now = performance.now()
    const there = this.#deployments
      .flatMap(({ pods }) => pods)
      .filter(({ labels }) => matches(at(this.#content, 'spec.selector'), labels))
      .filter(({ readyAt, endingAt }) => readyAt !== null && (endingAt === null || now - endingAt < RULES_LAG_MS))
    return there[this.#turn++ % there.length]?.port(string(port, 'targetPort')) ?? 0
  }

  /** An address of the Service's own, for clients that know but one. */
  async address(t: Test, name: string): Promise<number> {
    const sockets = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true }, (client) => {
      const pod = connect({ host: '127.0.0.1', port: this.endpoint(name), allowHalfOpen: true })
      for (const socket of [client, pod]) {
        sockets.add(socket)
        socket.once('close', () => sockets.delete(socket))
      }
      client.on('error', () => pod.destroy())
      pod.on('error', () => client.resetAndDestroy())
      client.pipe(pod).pipe(client)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }
}

function matches(selector: Json, labels: Json): boolean {
  if (typeof selector !== 'object' || selector === null || typeof labels !== 'object' || labels === null) return false
  const there = new Map<string, unknown>(Object.entries(labels))
  return Object.entries(selector).every(([key, value]) => there.get(key) === value)
}

/**
 * Looks at the pods as long as the promise is under way: the fewest that had come up and were not asked to end.
 * Whether a probe is answered in time is the machine's affair as well.
 */
export async function fewestThere(deployment: Deployment, during: Promise<unknown>): Promise<number> {
  let fewest = Infinity
  const look = (): void => {
    fewest = Math.min(fewest, deployment.pods.filter(({ cameUp, endingAt }) => cameUp && endingAt === null).length)
  }
  const timer = setInterval(look, 20)
  try {
    await during
  } finally {
    clearInterval(timer)
  }
  return fewest
}
