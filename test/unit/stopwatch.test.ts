import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { stopwatch } from '../support/stopwatch.js'

void t.test('stopwatch: waiting and own work count', async (t) => {
  const elapsed = stopwatch(t)
  // Each of them counts, however late it is over.
  for (let i = 0; i < 20; i++) await delay(20)
  const waited = elapsed()
  t.ok(waited > 200, `${Math.round(waited)} ms`)
  const before = process.cpuUsage()
  for (let used = 0; used < 300_000;) {
    const { user, system } = process.cpuUsage(before)
    used = user + system
  }
  const worked = elapsed() - waited
  t.ok(worked > 250, `${Math.round(worked)} ms: who blocks the process is seen`)
})

const noSignals = process.platform === 'win32' ? 'needs SIGSTOP' : false

void t.test('stopwatch: time in which the process is not let run does not', { skip: noSignals }, async (t) => {
  const from = performance.now()
  const elapsed = stopwatch(t)
  const stopper = spawn('sh', ['-c', `kill -STOP ${process.pid}; sleep 1; kill -CONT ${process.pid}`])
  await once(stopper, 'exit')
  const whole = performance.now() - from
  t.ok(whole >= 1_000)
  t.ok(elapsed() < whole - 700, `${Math.round(elapsed())} of ${Math.round(whole)} ms`)
})
