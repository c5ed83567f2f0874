// Aedes' own suite for persistences, run against the hub on the embedded store. The suite is written for Node's test runner;
// here is what it uses of that, on tap.

import { deepEqual, equal, notEqual, ok } from 'node:assert'
import { createRequire } from 'node:module'
import t, { type Test } from 'tap'
import { HubPersistence } from '../../broker/pubsub/aedes-persistence.js'
import { PubSubCounters } from '../../broker/pubsub/counters.js'
import { PubSub } from '../../broker/pubsub/hub.js'
import { DEFAULT_PUBSUB_LIMITS } from '../../broker/pubsub/limits.js'
import { systemClock } from '../../core/clock.js'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'

/** The context that a test of Node's runner gets, as far as the suite uses it. */
interface SuiteContext {
  plan(count: number): void
  diagnostic(text: string): void
  readonly assert: Readonly<Record<string, (...values: unknown[]) => void>>
}

type SuiteTest = (context: SuiteContext) => Promise<void>
type Suite = (options: {
  readonly test: (name: string, body: SuiteTest) => void
  readonly persistence: () => Promise<HubPersistence>
  readonly buildEmitter: () => object
  readonly testAsync: true
}) => void

function isSuite(value: unknown): value is Suite {
  return typeof value === 'function'
}

/** The assertions of Node, each one counted by tap. */
function contextOf(test: Test): SuiteContext {
  const counted =
    <T extends unknown[]>(assertion: (...values: T) => void) =>
    (...values: T): void =>
      void test.doesNotThrow(() => assertion(...values), String(values.at(-1)))
  return {
    plan: (count) => test.plan(count),
    diagnostic: (text) => test.comment(text),
    assert: {
      ok: counted((value: unknown) => ok(value)),
      equal: counted((a: unknown, b: unknown) => equal(a, b)),
      notEqual: counted((a: unknown, b: unknown) => notEqual(a, b)),
      deepEqual: counted((a: unknown, b: unknown) => deepEqual(a, b)),
    },
  }
}

const log = createLogger({ level: 'silent' })

async function openPersistence(path: string): Promise<HubPersistence> {
  const store = await openLmdbStore({ path, durability: 'process', limits: DEFAULT_MAILBOX_LIMITS, log })
  const counters = new PubSubCounters()
  const uplinkWill = (): Promise<void> => Promise.resolve()
  const clock = systemClock
  const limits = DEFAULT_PUBSUB_LIMITS
  const hub = await PubSub.open({ store: store.sessions, clock, log, limits, counters, uplinkWill })
  const persistence = new HubPersistence(hub)
  const destroy = persistence.destroy.bind(persistence)
  persistence.destroy = async () => {
    await destroy()
    await store.close()
  }
  return persistence
}

const suite: unknown = createRequire(import.meta.url)('aedes-persistence/abstract.js')
if (!isSuite(suite)) throw new TypeError('aedes-persistence has no abstract suite')

let count = 0
const root = t.testdir({})
suite({
  test(name, body) {
    count++
    // In TAP a `#` would begin a directive.
    const title = name.replaceAll('#', 'HASH')
    void t.test(`aedes persistence suite: ${title}`, async (t) => body(contextOf(t)))
  },
  persistence: () => openPersistence(`${root}/${count++}`),
  buildEmitter: () => ({ emit() {}, on() {}, removeListener() {} }),
  testAsync: true,
})
void t.test('aedes persistence suite: it was run', async (t) => t.ok(count >= 40, `${count} tests`))
