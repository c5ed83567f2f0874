// A pod of the chart as a process of this machine, looked after as a kubelet would: started with the image's entry point, the
// chart's arguments and environment; probed as the chart says; ended by SIGTERM, and by SIGKILL after the grace period.
//
// What a cluster gives and this machine does not: an address of the pod's own. So each port that the chart names is another one
// here, and `0.0.0.0` is loopback; names of ports are resolved as in a cluster, from probe or Service over the name to the number.

import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { Child, type ExitStatus } from '../child.js'
import { POSTRIDER } from '../command.js'
import { readRepositoryFile } from '../repository.js'
import { until } from '../road/wait.js'
import { array, at, environmentOf, type Json, string } from './chart.js'
import { mountSecrets } from './mounts.js'

/** The image, as its Dockerfile describes it. */
export interface Image {
  readonly entrypoint: readonly string[]
  readonly env: ReadonlyMap<string, string>
}

export function readImage(): Image {
  const lines = readRepositoryFile('Dockerfile').split('\n')
  const rest = (word: string): string =>
    lines.findLast((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? ''
  const entrypoint: unknown = JSON.parse(rest('ENTRYPOINT'))
  if (!Array.isArray(entrypoint)) throw new RangeError('no ENTRYPOINT')
  const env = [...rest('ENV').matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value] as const)
  return { entrypoint: entrypoint.map(String), env: new Map(env) }
}

/** Where the image has what this machine has elsewhere. */
const HERE: Readonly<Record<string, string>> = {
  '/nodejs/bin/node': process.execPath,
  '/opt/postrider/cli/bin/postrider.js': POSTRIDER,
}

async function unusedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

export class Pod {
  readonly labels: Json
  readonly child: Child
  /** When it was asked to end; null: it was not. */
  endingAt: number | null = null
  /** When it became ready; null: it is not. */
  readyAt: number | null = null
  /** It was ready at some time. */
  cameUp = false
  /** Times that its liveness probe failed so often that a kubelet would have started it anew. */
  killed = 0
  readonly #spec: Json
  readonly #container: Json
  readonly #ports: ReadonlyMap<string, number>
  readonly #stop = new AbortController()

  private constructor(
    t: Test,
    template: Json,
    environment: ReadonlyMap<string, string>,
    ports: ReadonlyMap<string, number>,
  ) {
    this.labels = at(template, 'metadata.labels')
    this.#spec = at(template, 'spec')
    this.#container = at(template, 'spec.containers.0')
    this.#ports = ports
    const { entrypoint } = readImage()
    const own = array(this.#container, 'command').map(String)
    const [command = '', ...before] = (own.length > 0 ? own : entrypoint).map((word) => HERE[word] ?? word)
    const args = [...before, ...array(this.#container, 'args').map(String)]
    this.child = new Child(t, command, args, { env: Object.fromEntries(environment) })
    t.teardown(() => this.#stop.abort())
  }

  /** Starts one. `secrets`: `name/key` → value, for what the environment refers to. */
  static async start(t: Test, template: Json, secrets: ReadonlyMap<string, string>): Promise<Pod> {
    const container = at(template, 'spec.containers.0')
    const ports = new Map<string, number>()
    const numbers = new Map<string, number>()
    for (const each of array(container, 'ports')) {
      const port = await unusedPort()
      ports.set(string(each, 'name'), port)
      numbers.set(string(each, 'containerPort'), port)
    }
    const environment = new Map([...readImage().env, ...environmentOf(container)])
    const here = mountSecrets(t, template, secrets)
    for (const [name, value] of environment) {
      if (here(value) !== value) environment.set(name, here(value))
      const secret = secrets.get(value)
      if (secret !== undefined) environment.set(name, secret)
      if (name === 'POSTRIDER_HOST') environment.set(name, '127.0.0.1')
      if (!name.endsWith('_PORT') || value === 'off') continue
      const port = numbers.get(value)
      if (port === undefined) throw new RangeError(`${name} is ${value}, which the pod does not name`)
      environment.set(name, String(port))
    }
    const pod = new Pod(t, template, environment, ports)
    void pod.#probe()
    return pod
  }

  /** The port here that the chart calls so; throws when it calls none so. */
  port(name: string): number {
    const port = this.#ports.get(name)
    if (port === undefined) throw new RangeError(`no port ${name}`)
    return port
  }

  async untilAvailable(minReadySeconds: number, patienceMs: number): Promise<void> {
    await until(
      'a pod to be available',
      () => {
        if (this.child.status !== null) throw new Error(`it ended: ${this.child.stderr}`)
        return this.readyAt !== null && performance.now() - this.readyAt >= minReadySeconds * 1_000
      },
      patienceMs,
      () => this.child.stderr.slice(-2_000),
    )
  }

  /** SIGTERM; and how it ended. Null: not within the grace period, and so by SIGKILL. */
  async terminate(): Promise<ExitStatus | null> {
    this.endingAt = performance.now()
    const grace = Number(at(this.#spec, 'terminationGracePeriodSeconds')) * 1_000
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.child.signal('SIGKILL')
    }, grace)
    const status = await this.child.kill('SIGTERM')
    clearTimeout(timer)
    this.#stop.abort()
    return late ? null : status
  }

  /** One probe after another, with its period, its time and its thresholds. */
  async #probe(): Promise<void> {
    const startup = at(this.#container, 'startupProbe')
    for (let failures = 0; !(await this.#ask(startup));) {
      if (this.#stop.signal.aborted || this.child.status !== null) return
      if (++failures >= Number(at(startup, 'failureThreshold'))) return void this.killed++
      await this.#period(startup)
    }
    void this.#follow(at(this.#container, 'livenessProbe'), (well) => {
      if (!well) this.killed++
    })
    void this.#follow(at(this.#container, 'readinessProbe'), (well) => {
      this.readyAt = well ? (this.readyAt ?? performance.now()) : null
      this.cameUp ||= well
    })
  }

  async #follow(probe: Json, tell: (well: boolean) => void): Promise<void> {
    let failures = 0
    while (!this.#stop.signal.aborted && this.child.status === null) {
      failures = (await this.#ask(probe)) ? 0 : failures + 1
      // A pod that ends is not started anew for not answering any more.
      if (this.endingAt === null && (failures === 0 || failures === Number(at(probe, 'failureThreshold'))))
        tell(failures === 0)
      await this.#period(probe)
    }
  }

  async #period(probe: Json): Promise<void> {
    const { signal } = this.#stop
    await delay(Number(at(probe, 'periodSeconds')) * 1_000, undefined, { signal }).catch(() => undefined)
  }

  async #ask(probe: Json): Promise<boolean> {
    const url = `http://127.0.0.1:${this.port(string(probe, 'httpGet.port'))}${string(probe, 'httpGet.path')}`
    try {
      const { ok } = await fetch(url, { signal: AbortSignal.timeout(Number(at(probe, 'timeoutSeconds')) * 1_000) })
      return ok
    } catch {
      return false
    }
  }
}
