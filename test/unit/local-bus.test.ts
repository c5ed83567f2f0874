import t from 'tap'
import { createLocalBus, LocalBusCounters } from '../../core/bus/local/local-bus.js'
import { busConformance } from '../conformance/bus.js'

busConformance(t, {
  name: 'local',
  supports: { manyClients: 'one process has one' },
  async open() {
    const bus = createLocalBus({ onHandlerError: () => {} })
    return { connect: async () => bus, close: () => bus.close() }
  },
})

t.test('local bus: delivers inside notify', async (t) => {
  const bus = createLocalBus()
  let seen = 0
  await bus.join('a', { onNotices: (notices) => (seen += notices.length), onKick: async () => {}, onGap: () => {} })
  bus.notify('a', [])
  t.equal(seen, 0)
  const message = {
    seq: 1,
    at: 1,
    expiresAt: null,
    priority: 'normal' as const,
    dedupId: null,
    contentType: '',
    attributes: null,
    payload: Buffer.of(),
  }
  bus.notify('a', [{ device: 'd', epoch: 'e', claimId: 'c', message }])
  t.equal(seen, 1)
})

t.test('local bus: counts what it drops and reports handlers that break their contract', async (t) => {
  const counters = new LocalBusCounters()
  const errors: unknown[] = []
  const bus = createLocalBus({ counters, onHandlerError: (error) => errors.push(error.cause) })
  const [first, second, third] = ['notices', 'gap', 'kick'].map((text) => new Error(text))
  await bus.join('a', {
    onNotices() {
      throw first
    },
    onGap() {
      throw second
    },
    onKick() {
      throw third
    },
  })
  const message = {
    seq: 1,
    at: 1,
    expiresAt: null,
    priority: 'normal' as const,
    dedupId: null,
    contentType: '',
    attributes: null,
    payload: Buffer.of(),
  }
  const notice = { device: 'd', epoch: 'e', claimId: 'c', message }
  bus.notify('a', [notice])
  bus.notify('nobody', [notice, notice])
  t.equal(await bus.kick('a', { device: 'd', claimId: 'c', reason: 'revoked' }, 1_000), false)
  t.strictSame(errors, [first, second, third])
  t.match(counters, { noticesDropped: 2, kicks: 1, kicksUnconfirmed: 1, handlerErrors: 3 })
})
