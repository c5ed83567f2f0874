import t, { type Test } from 'tap'
import { createAdminServer } from '../../core/admin/admin-server.js'
import { createReadiness } from '../../core/admin/readiness.js'
import { systemClock } from '../../core/clock.js'
import { createLogger } from '../../core/log.js'
import { Histogram } from '../../core/metrics/histogram.js'
import { counter, counterBy, gauge, histogram, metricGroup } from '../../core/metrics/metric-row.js'
import { createMetrics } from '../../core/metrics/metrics.js'

const log = createLogger({ level: 'silent' })

async function adminOf(t: Test) {
  const metrics = createMetrics()
  const readiness = createReadiness({ clock: systemClock, log, times: { everyMs: 20, timeoutMs: 50 } })
  t.teardown(() => readiness.stop())
  const state = { started: false, step: 'store' as string | null }
  const start = () => state
  const server = createAdminServer({ host: '127.0.0.1', port: 0, metrics, readiness, start, log })
  const { admin } = await server.start()
  t.teardown(() => server.stop())
  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://127.0.0.1:${admin}${path}`, init)
    return { status: response.status, type: response.headers.get('content-type') ?? '', text: await response.text() }
  }
  return { metrics, readiness, state, get, port: admin, server }
}

void t.test('admin: live while the process answers, whatever the readiness', async (t) => {
  const { readiness, get } = await adminOf(t)
  readiness.hold('starting')
  t.match(await get('/livez'), { status: 200, text: 'live\n' })
  t.match(await get('/livez', { headers: { accept: 'application/json' } }), {
    status: 200,
    text: '{"status":"live"}\n',
  })
})

void t.test('admin: not ready while anything holds it, and ready when all have let go', async (t) => {
  const { readiness, get } = await adminOf(t)
  readiness.hold('starting')
  readiness.hold('draining')
  readiness.release('starting')
  t.match(await get('/readyz'), { status: 503, text: /not ready\n\[-\] draining/ })
  readiness.release('draining')
  t.match(await get('/readyz'), { status: 200, text: 'ready\n' })
})

void t.test('admin: each check has its name; one that fails or hangs makes the node not ready', async (t) => {
  const { readiness, get } = await adminOf(t)
  const json = { headers: { accept: 'application/json' } }
  readiness.addCheck({ name: 'store', check: async () => undefined })
  const ready = await get('/readyz', json)
  t.equal(ready.status, 200)
  t.match(JSON.parse(ready.text), { status: 'ready', holds: [], checks: [{ name: 'store', ok: true }] })

  readiness.addCheck({ name: 'hangs', check: () => new Promise(() => undefined) })
  readiness.addCheck({
    name: 'fails',
    check: async () => {
      throw new Error('the disk is gone')
    },
  })
  const broken = await get('/readyz', json)
  t.equal(broken.status, 503)
  t.match(JSON.parse(broken.text), {
    status: 'not_ready',
    checks: [
      { name: 'store', ok: true },
      { name: 'hangs', ok: false, error: 'no answer within 50 ms' },
      { name: 'fails', ok: false, error: 'the disk is gone' },
    ],
  })
  t.match((await get('/readyz')).text, '[-] fails failed: the disk is gone')
})

void t.test('admin: metrics of the process and our own, read when they are asked for', async (t) => {
  const { metrics, get } = await adminOf(t)
  const counters = { sent: 1, open: 5, closes: { drain: 2 } as Record<string, number>, wait: new Histogram([0.1, 1]) }
  type Counters = typeof counters
  const group = metricGroup<Counters>('Test', null, [
    counter('sent_total', 'Sent', '', ({ sent }) => sent),
    gauge('open', 'Open', '', ({ open }) => open),
    counterBy('closes_total', 'code', ['drain', 'gone'], 'Closes', '', ({ closes }) => closes),
    histogram('wait_seconds', [0.1, 1], 'Wait', '', ({ wait }) => wait),
  ])
  metrics.expose(group.of(counters))
  counters.wait.observe(0.5)
  counters.wait.observe(7)
  await get('/metrics')
  counters.sent = 7
  counters.open = 4
  const { status, type, text } = await get('/metrics')
  t.equal(status, 200)
  t.match(type, /^text\/plain; version=0\.0\.4/)
  t.match(text, /^# TYPE postrider_sent_total counter$/m)
  t.match(text, /^postrider_sent_total 7$/m, 'set to the value, not added to the last scrape')
  t.match(text, /^postrider_open 4$/m)
  t.match(text, /^postrider_closes_total\{code="drain"\} 2$/m)
  t.match(text, /^postrider_closes_total\{code="gone"\} 0$/m)
  t.match(text, /^# TYPE postrider_wait_seconds histogram$/m)
  t.match(text, /^postrider_wait_seconds_bucket\{le="0\.1"\} 0$/m)
  t.match(text, /^postrider_wait_seconds_bucket\{le="1"\} 1$/m)
  t.match(text, /^postrider_wait_seconds_bucket\{le="\+Inf"\} 2$/m)
  t.match(text, /^postrider_wait_seconds_sum 7\.5$/m)
  t.match(text, /^postrider_wait_seconds_count 2$/m)
  t.match(text, /^process_cpu_user_seconds_total /m)
  t.match(text, /^nodejs_eventloop_lag_seconds /m)
})

void t.test('admin: nothing else is there', async (t) => {
  const { get } = await adminOf(t)
  t.match(await get('/'), { status: 404 })
  t.match(await get('/v1/devices'), { status: 404 })
  t.match(await get('/metrics', { method: 'POST' }), { status: 405 })
  t.match(await get('/livez', { method: 'HEAD' }), { status: 200, text: '' })
})

void t.test('admin: a port in use rejects, a stopped server is gone', async (t) => {
  const { port, server, metrics, readiness, state } = await adminOf(t)
  const start = () => state
  const second = createAdminServer({ host: '127.0.0.1', port, metrics, readiness, start, log })
  await t.rejects(second.start(), { code: 'EADDRINUSE' })
  await second.stop()
  await server.stop()
  await server.stop()
  await t.rejects(fetch(`http://127.0.0.1:${port}/livez`))
})
