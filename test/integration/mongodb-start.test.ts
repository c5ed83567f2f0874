import t, { type Test } from 'tap'
import { StartupError } from '../../core/errors.js'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { type MongoStoreOptions, openMongoStore } from '../../core/stores/mongodb/open.js'
import { startFakeMongo } from '../support/mongodb/fake-server.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { freePort } from '../support/redis/server.js'

async function refusal(url: string, options: Partial<MongoStoreOptions> = {}): Promise<string> {
  try {
    const store = await openMongoStore({
      url,
      limits: DEFAULT_MAILBOX_LIMITS,
      log: createLogger({ level: 'silent' }),
      ...options,
    })
    await store.close()
    return 'opened'
  } catch (error) {
    if (!(error instanceof StartupError)) throw error
    return error.message
  }
}

/** The URL of a server that says so of itself. */
async function saying(t: Test, document: Readonly<Record<string, unknown>>): Promise<string> {
  const server = await startFakeMongo({ ok: 1, isWritablePrimary: true, maxBsonObjectSize: 16_777_216, ...document })
  t.teardown(() => server.stop())
  return `mongodb://127.0.0.1:${server.port}/db`
}

t.test('mongodb start: nobody listens, or the name is none', async (t) => {
  const port = await freePort()
  const from = performance.now()
  const message = await refusal(`mongodb://u:hush@127.0.0.1:${port}/db`)
  t.match(message, new RegExp(`^mongodb://127.0.0.1:${port}/db: cannot be reached: .*ECONNREFUSED`))
  t.notMatch(message, /hush/)
  t.ok(performance.now() - from < 30_000, 'soon')
  t.match(await refusal('mongodb://no-such-host.invalid'), /cannot be reached: .*no-such-host/)
})

t.test('mongodb start: a URL of another form is refused without being told', async (t) => {
  for (const url of ['mongodb://', 'mongodb://u:hush@h:notaport', 'mongodb://u:hu/sh@h', 'mongodb://h/?replicaSet=']) {
    const message = await refusal(url)
    t.match(message, /form mongodb:\/\/host:port|cannot be reached/, url)
    t.notMatch(message, /hu\/?sh/)
  }
  t.match(await refusal('mongodb://u:hush@h/?nosuchoption=1'), /option nosuchoption is not supported/)
})

t.test('mongodb start: a server that is too old', async (t) => {
  const old = await saying(t, { minWireVersion: 0, maxWireVersion: 5, version: '3.4.24' })
  t.match(await refusal(old), /: the server is too old, 4\.2 or newer is needed/)
  const almost = await saying(t, { minWireVersion: 0, maxWireVersion: 7, version: '4.0.28' })
  t.match(await refusal(almost), /: the server is (?:MongoDB 4\.0\.28, but 4\.2|too old, 4\.2)/)
})

t.test('mongodb start: no replica set where one is needed', async (t) => {
  const alone = await saying(t, { minWireVersion: 0, maxWireVersion: 21, version: '7.0.14' })
  t.match(await refusal(alone, { needsReplicaSet: true }), /: the server is in no replica set, but more nodes/)
})

t.test('mongodb start: a wrong password, or none', { skip: noMongo }, async (t) => {
  const mongo = await startMongo()
  t.teardown(() => mongo.stop())
  const right = mongo.url('postrider_test_start')
  if (!/\/\/[^/]*:[^/]*@/.test(right)) {
    t.pass('needs a MongoDB with users', { skip: 'this MongoDB asks for no password' })
    return
  }
  const wrong = await refusal(right.replace(/:[^:@/]*@/, ':hush@'))
  t.match(wrong, /: the user or password is wrong$/)
  t.notMatch(wrong, /hush/)
  t.match(await refusal(right.replace(/\/\/[^@/]*@/, '//').replace(/\?.*/, '')), /: the user may not do what/)
})
