// A client of MongoDB's driver that has stopped asking its server how it is gets begun anew; one that asks, with whatever answer, does not.

import { MongoClient, type ServerHeartbeatStartedEvent, type ServerHeartbeatFailedEvent } from 'mongodb'
import t, { type Test } from 'tap'
import { MongoCounters } from '../../core/metrics/mongo-counters.js'
import { ClientWatch } from '../../core/stores/mongodb/client-watch.js'
import { pause, until } from '../support/road/wait.js'

const TICK_MS = 20
/** As many ticks as make it silent. */
const SILENT_MS = 10 * TICK_MS

/** A client that never connects: its events are made by the test. */
function rig(t: Test) {
  const client = new MongoClient('mongodb://127.0.0.1:1')
  const state = { revived: 0 }
  const watch = new ClientWatch(client, new MongoCounters(), () => state.revived++, TICK_MS)
  t.teardown(() => watch.stop())
  return { client, state, watch }
}

t.test('mongodb client watch: silence for ten ticks, and again while it stays silent', async (t) => {
  const { state } = rig(t)
  const from = performance.now()
  await until('it to be begun anew', () => state.revived === 1)
  t.ok(performance.now() - from >= SILENT_MS - TICK_MS, 'not before')
  await until('it to be tried again', () => state.revived >= 2)
})

t.test('mongodb client watch: a server that fails to answer is asked, and that is enough', async (t) => {
  const { client, state } = rig(t)
  const started: ServerHeartbeatStartedEvent = Object.create(null)
  const failed: ServerHeartbeatFailedEvent = Object.create(null)
  let asked = 0
  const asking = setInterval(() => {
    if (asked++ % 2 === 0) client.emit('serverHeartbeatStarted', started)
    else client.emit('serverHeartbeatFailed', failed)
  }, TICK_MS)
  t.teardown(() => clearInterval(asking))
  await pause(4 * SILENT_MS)
  t.equal(state.revived, 0)
  clearInterval(asking)
  await until('nobody to ask any more', () => state.revived === 1)
})

t.test('mongodb client watch: ends with its store', async (t) => {
  const { state, watch } = rig(t)
  watch.stop()
  await pause(2 * SILENT_MS)
  t.equal(state.revived, 0)
})
