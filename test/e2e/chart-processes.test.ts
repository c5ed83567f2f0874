// The chart without a cluster: what it renders is run as processes on a real Redis, probed as a kubelet does, and every pod is
// replaced as its Deployment says, under load. Nothing may be lost, repeated or reordered, no push may fail, and devices are away
// but for a moment.

import t, { type Test } from 'tap'
import { systemClock } from '../../core/clock.js'
import { createDeviceTokens } from '../../core/security/device-tokens.js'
import { parseTokenSecrets } from '../../core/security/token-secrets.js'
import { createPushClient, type PushClient } from '../../sdk/server.js'
import { Child } from '../support/child.js'
import { POSTRIDER } from '../support/command.js'
import {
  array,
  at,
  entries,
  environmentOf,
  manifest,
  type Manifest,
  render,
  string,
} from '../support/kubernetes/chart.js'
import { Deployment, fewestThere, Service } from '../support/kubernetes/cluster.js'
import { readImage } from '../support/kubernetes/pod.js'
import { HELM } from '../support/kubernetes/tools.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { type DeviceWatch, RoadDevice } from '../support/road/device.js'
import { kept, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { Latencies } from '../support/road/observe.js'
import { writeMark } from '../support/road/payload.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { troublesIn } from '../support/server-log.js'

t.setTimeout(LONG ? 1_200_000 : 600_000)
const skip = HELM.missing || noRedis

const DEVICES = LONG ? 3_000 : 90
const RATE = LONG ? 1_000 : 90
/** An update of the test takes less time than one of production, but goes the same way. */
const drain = { delaySeconds: LONG ? 5 : 2, deadlineSeconds: 120 }
const VALUES = {
  broker: {
    replicas: 3,
    connectionsMax: 5_000,
    minReadySeconds: LONG ? 10 : 2,
    drain: { ...drain, devicesPerSecond: 100 },
  },
  api: { replicas: 2, minReadySeconds: LONG ? 5 : 2, drain },
  config: { 'inbox-max': 50_000 },
}

/** What the rendered Secrets say, as `name/key` → value. */
function secretsIn(manifests: readonly Manifest[]): ReadonlyMap<string, string> {
  return new Map(
    manifests
      .filter(({ kind }) => kind === 'Secret')
      .flatMap(({ name, content }) =>
        entries(content, 'data').map(
          ([key, value]) => [`${name}/${key}`, Buffer.from(String(value), 'base64').toString('utf8')] as const,
        ),
      ),
  )
}

interface Stage {
  readonly manifests: readonly Manifest[]
  readonly secrets: ReadonlyMap<string, string>
  readonly brokers: Deployment
  readonly apis: Deployment
  readonly mqtt: Service
  readonly apiUrl: string
  readonly apiKey: string
}

/** Installs the chart, as far as that can be without a cluster. */
async function install(t: Test, values: object): Promise<Stage> {
  const redis = await startRedis(['--appendfsync', 'always'])
  t.teardown(() => redis.stop())
  const manifests = await render({ values: { ...values, store: { type: 'redis', redis: { url: redis.url } } } })
  const secrets = secretsIn(manifests)
  const brokers = new Deployment(t, manifest(manifests, 'Deployment', 'postrider-broker'), secrets)
  const apis = new Deployment(t, manifest(manifests, 'Deployment', 'postrider-api'), secrets)
  await Promise.all([brokers.start(), apis.start()])
  const mqtt = new Service(manifest(manifests, 'Service', 'postrider-mqtt'), [brokers, apis])
  const api = new Service(manifest(manifests, 'Service', 'postrider-api'), [brokers, apis])
  const apiUrl = `http://127.0.0.1:${await api.address(t, 'http')}`
  return { manifests, secrets, brokers, apis, mqtt, apiUrl, apiKey: secrets.get('postrider-secrets/api-key') ?? '' }
}

/** A backend that pushes by the SDK, at a pace; every push must be answered well. */
class Backend {
  readonly failures: unknown[] = []
  readonly #client: PushClient
  readonly #ledger: RoadLedger
  readonly #devices: readonly string[]
  readonly #open = new Set<Promise<void>>()
  readonly #numbers = new Map<string, number>()
  readonly #stopping = new AbortController()
  #loop: Promise<void> = Promise.resolve()

  constructor(client: PushClient, ledger: RoadLedger, devices: readonly string[]) {
    this.#client = client
    this.#ledger = ledger
    this.#devices = devices
  }

  start(rate: number): this {
    this.#loop = this.#run(rate)
    return this
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#loop
    await Promise.all(this.#open)
  }

  async #run(rate: number): Promise<void> {
    let due = performance.now()
    for (let turn = 0; !this.#stopping.signal.aborted; turn++) {
      const device = this.#devices[turn % this.#devices.length] ?? ''
      const number = (this.#numbers.get(device) ?? 0) + 1
      this.#numbers.set(device, number)
      const push = this.#client
        .push(device, writeMark(number), { dedupId: String(number) })
        .then(
          ({ seq, epoch }) => this.#ledger.accepted(device, number, { seq, epoch }),
          (error: unknown) => void this.failures.push(error),
        )
        .finally(() => this.#open.delete(push))
      this.#open.add(push)
      due += 1_000 / rate
      const early = due - performance.now()
      if (early > 0) await pause(early)
      else if (early < -1_000) due = performance.now() // what a busy machine took is not made good in a burst
    }
  }
}

/** Looks at a device for the times that it was away. */
function watchOutages(devices: readonly RoadDevice[]): { readonly take: () => Latencies; readonly stop: () => void } {
  const seen = new Map<RoadDevice, number>()
  const outages = new Latencies()
  const look = (): void => {
    for (const device of devices) {
      if (!device.ready || device.ends === (seen.get(device) ?? 0)) continue
      seen.set(device, device.ends)
      outages.add(device.readyAt - device.endedAt)
    }
  }
  const timer = setInterval(look, 5)
  return { take: () => (look(), outages), stop: () => clearInterval(timer) }
}

void t.test('chart processes: every pod is replaced under load, and nothing is lost', { skip }, async (t) => {
  const { brokers, apis, mqtt, apiUrl, apiKey, secrets } = await install(t, VALUES)
  t.equal(brokers.pods.length, 3)
  t.equal(apis.pods.length, 2)
  const tokens = createDeviceTokens({
    secrets: parseTokenSecrets(secrets.get('postrider-secrets/token-secret') ?? '', 'the Secret'),
    maxTtlSeconds: 30 * 86_400,
    clock: systemClock,
  })
  const ledger = new RoadLedger()
  const devices = await Promise.all(
    Array.from({ length: DEVICES }, async (_, i) => {
      const device = `phone-${i}`
      const { token } = await tokens.sign(device, 3_600)
      const watch: DeviceWatch = {
        connected(id) {
          // What it acknowledged in the moment in which its connection was closed may not have been read, and come again.
          if (made.ends > 0) ledger.cut(id, made.endedAt)
          return ledger.connected(id)
        },
      }
      const made = new RoadDevice({
        device,
        token,
        ledger: watch,
        clean: i % 3 !== 0,
        port: () => mqtt.endpoint('mqtt'),
      })
      t.teardown(() => made.stop(true))
      return made.start()
    }),
  )
  await until('all devices to be connected', () => devices.every(({ ready }) => ready), 120_000)
  const backend = new Backend(
    createPushClient({ url: apiUrl, apiKey }),
    ledger,
    devices.map(({ device }) => device),
  ).start(RATE)
  await until('deliveries', () => ledger.progress.arrived > RATE, 60_000)
  const watch = watchOutages(devices)
  t.teardown(watch.stop)

  for (const deployment of [apis, brokers]) {
    const before = ledger.progress
    const from = performance.now()
    const old = deployment.pods
    const wanted = old.length
    const rolled = deployment.roll()
    t.equal(await fewestThere(deployment, rolled), wanted, `${deployment.name}: never fewer pods than wanted`)
    for (const status of await rolled)
      t.same(status, { code: 0, signal: null }, 'ended by itself, within its grace period')
    t.equal(deployment.pods.length, wanted)
    t.notOk(
      deployment.pods.some((pod) => old.includes(pod)),
      'every one is new',
    )
    t.same(
      old.flatMap(({ child }) => troublesIn(child.stderr)),
      [],
    )
    t.comment(
      `${deployment.name}: ${wanted} pods replaced in ${Math.round((performance.now() - from) / 1_000)} s, ` +
        `${ledger.progress.accepted - before.accepted} messages accepted meanwhile`,
    )
  }
  await until('all devices to be back', () => devices.every(({ ready }) => ready), 60_000)
  await backend.stop()
  t.same(backend.failures.map((error) => String(error)).slice(0, 5), [], 'no push failed that the SDK did not hide')
  const verdict = await untilArrived(ledger)
  for (const lost of verdict.lost.slice(0, 3)) {
    const device = devices.find((each) => lost.startsWith(`${each.device} `))
    const there = await fetch(`${apiUrl}/v1/devices/${device?.device}`, {
      headers: { authorization: `Bearer ${apiKey}` },
    })
    t.comment(lost, `ready: ${device?.ready}, connections: ${device?.connections}`, await there.text())
  }
  kept(t, verdict)
  t.same(
    [...brokers.pods, ...apis.pods].filter(({ killed }) => killed > 0),
    [],
    'no kubelet would have killed one',
  )
  const outages = watch.take().take()
  t.ok(outages.count >= DEVICES, `${outages.count} connections were drained`)
  t.comment(
    `away: p50 ${Math.round(outages.p50)} ms, p99 ${Math.round(outages.p99)} ms, at most ${Math.round(outages.max)} ms`,
  )
  const refused = new Map<number, number>()
  for (const { refusals } of devices)
    for (const [code, times] of refusals) refused.set(code, (refused.get(code) ?? 0) + times)
  t.comment(`refused meanwhile, by CONNACK code: ${JSON.stringify([...refused])}`)
  // Two seconds is said of a machine that has room; in the short form others may share it.
  t.ok(outages.p99 < (LONG ? 2_000 : 20_000), `p99 ${Math.round(outages.p99)} ms`)
})

void t.test('chart processes: what `helm test` runs, passes, and fails when nobody delivers', { skip }, async (t) => {
  const { manifests, secrets, mqtt, apiUrl } = await install(t, {
    broker: { replicas: 1, minReadySeconds: 0 },
    api: { replicas: 1, minReadySeconds: 0 },
  })
  const container = at(manifest(manifests, 'Pod', 'postrider-test'), 'spec.containers.0')
  const [node, file] = array(container, 'command').map(String)
  const environment = environmentOf(container)
  const { entrypoint } = readImage()
  t.equal(node, entrypoint[0], 'the image has this Node')
  t.equal(environment.get('POSTRIDER_TEST_COMMAND'), entrypoint[1], 'and the command there')
  t.ok(string(array(container, 'volumeMounts')[0], 'mountPath') === '/test' && file === '/test/push-and-receive.mjs')
  t.equal(environment.get('POSTRIDER_URL'), 'http://postrider-api:8080')
  t.equal(environment.get('POSTRIDER_MQTT_URL'), 'mqtt://postrider-mqtt:1883')
  const source = new Map(entries(manifest(manifests, 'ConfigMap', 'postrider-test'), 'data'))
  const run = (mqttUrl: string): Child =>
    new Child(t, process.execPath, ['--input-type=module', '--eval', String(source.get('push-and-receive.mjs'))], {
      env: {
        POSTRIDER_TEST_COMMAND: POSTRIDER,
        POSTRIDER_URL: apiUrl,
        POSTRIDER_MQTT_URL: mqttUrl,
        // As the Secret is while the key is being changed.
        POSTRIDER_API_KEY: `${secrets.get(environment.get('POSTRIDER_API_KEY') ?? '') ?? ''},the-key-of-before-0123456789-abcdef`,
      },
    })
  const good = run(`mqtt://127.0.0.1:${mqtt.endpoint('mqtt')}`)
  t.same(await good.exited, { code: 0, signal: null }, good.stderr)
  t.match(good.stdout, /pushed: .*"seq":1.*\nreceived and handled: hello helm-test-/)
  const looked = run('')
  t.same(await looked.exited, { code: 0, signal: null }, looked.stderr)
  t.match(looked.stdout, 'seen over REST')
  const bad = run('mqtt://127.0.0.1:1')
  await bad.until('the push', ({ stdout }) => stdout.includes('pushed'))
  t.equal(bad.status, null, 'it waits for the device')
})
