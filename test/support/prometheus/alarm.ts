// Alerts under the faults that they are for: the real rules, with all of their durations made shorter by one factor.

import type { Test } from 'tap'
import { ALERTS } from '../../../grafana/rules/index.js'
import { ruleFile } from '../../../grafana/rules/render.js'
import { scaled } from '../../../grafana/rules/time.js'
import { until } from '../road/wait.js'
import { TestPrometheus } from './server.js'

/** A minute of production is a second. */
export const FACTOR = 1 / 60
const INTERVAL_MS = 500

export const startAlarm = (t: Test, factor = FACTOR, intervalMs = INTERVAL_MS): Promise<TestPrometheus> =>
  TestPrometheus.start(t, t.testdir({}), { intervalMs, rules: ruleFile(scaled(factor), 'docs/runbooks') })

const known = new Set(ALERTS.map(({ name }) => name))

/** Waits until all of these have fired since the fault began; `meanwhile` keeps the fault up. */
export async function untilFired(
  t: Test,
  prometheus: TestPrometheus,
  names: readonly string[],
  meanwhile: () => void | Promise<void> = () => undefined,
): Promise<void> {
  for (const name of names) if (!known.has(name)) throw new RangeError(`there is no alert ${name}`)
  const missing = new Set(names)
  await until(
    `alerts to fire`,
    async () => {
      await meanwhile()
      for (const name of await prometheus.firing()) missing.delete(name)
      return missing.size === 0
    },
    180_000,
  ).catch(() => undefined)
  for (const name of names) t.notOk(missing.has(name), `${name} fires`)
}

/** What `alerts-node.test.ts` brings about. */
export const NODE_FAULTS = [
  'PostriderDevicesStuck',
  'PostriderMessagesUndelivered',
  'PostriderUplinkFull',
  'PostriderWebhookEventsLate',
  'PostriderWebhookEventsDropped',
  'PostriderConnectionHeadroom',
  'PostriderEventLoopBusy',
  'PostriderCertificateExpires',
  'PostriderDiskAlmostFull',
] as const
