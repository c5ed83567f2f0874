// The password of MongoDB is changed while devices are connected and a backend pushes: by a second user, because a user has one
// password, and nodes that are replaced one after another.

import { randomBytes } from 'node:crypto'
import { type MongoClient, MongoServerError } from 'mongodb'
import t, { type Test } from 'tap'
import { createPushClient } from '../../sdk/server.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { pause, until } from '../support/road/wait.js'
import { SdkDevice } from '../support/sdk/sdk-device.js'
import { TestServer } from '../support/server.js'

t.setTimeout(300_000)
const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}
const PATIENCE_MS = 90_000

interface Place {
  readonly url: string
  readonly name: string
  readonly admin: MongoClient
}

interface User {
  readonly user: string
  readonly pwd: string
}

/** Code of "no such role". */
const BAD_ROLE = 31

/** A user for the database, and how to take it away. Servers that have no role for one database get one for all. */
async function makeUser({ name, admin }: Place, { user, pwd }: User): Promise<() => Promise<void>> {
  const make = (roles: ReadonlyArray<{ readonly role: string; readonly db: string }>) =>
    admin.db('admin').command({ createUser: user, pwd, roles })
  await make([{ role: 'readWrite', db: name }]).catch(async (error: unknown) => {
    if (!(error instanceof MongoServerError) || error.code !== BAD_ROLE) throw error
    await make(['readWriteAnyDatabase', 'clusterAdmin'].map((role) => ({ role, db: 'admin' })))
  })
  let there = true
  return async () => {
    if (there) await admin.db('admin').command({ dropUser: user })
    there = false
  }
}

function withUser(url: string, { user, pwd }: User): string {
  return url
    .replace(/^([^/]+:\/\/)(?:[^@/]*@)?/, `$1${user}:${pwd}@`)
    .replace(/\?|$/, (mark) => (url.includes('authSource=') ? mark : `?authSource=admin${mark === '' ? '' : '&'}`))
}

interface Pushing {
  readonly failures: unknown[]
  readonly count: () => number
  stop(): Promise<void>
}

/** One backend for each node, which pushes all the time. */
function push(nodes: readonly TestServer[], device: string): Pushing {
  const failures: unknown[] = []
  let count = 0
  const stopping = new AbortController()
  const all = Promise.all(
    nodes.map(async (node) => {
      const client = createPushClient({ url: node.url, apiKey: SECRETS.POSTRIDER_API_KEY })
      while (!stopping.signal.aborted) {
        const number = String(++count)
        await client.push(device, number, { dedupId: number }).catch((error: unknown) => void failures.push(error))
        await pause(20)
      }
    }),
  )
  return {
    failures,
    count: () => count,
    async stop() {
      stopping.abort()
      await all
    },
  }
}

async function database(
  t: Test,
): Promise<{ readonly url: string; readonly name: string; readonly admin: MongoClient }> {
  const mongo = await startMongo()
  const name = `postrider_test_${randomBytes(4).toString('hex')}`
  t.teardown(async () => {
    await mongo.admin.db(name).dropDatabase()
    await mongo.stop()
  })
  return { url: mongo.url(name), name, admin: mongo.admin }
}

void t.test(
  'rotation: the password of MongoDB: no push fails, and a device is away once, while its node is replaced',
  { skip: noMongo === false ? noRedis : noMongo },
  async (t) => {
    const place = await database(t)
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const end = randomBytes(3).toString('hex')
    const users = {
      old: { user: `old_${end}`, pwd: 'Old-password-1' },
      fresh: { user: `new_${end}`, pwd: 'New-password-2' },
    }
    const dropOld = await makeUser(place, users.old)
    t.teardown(dropOld)
    const options = (which: keyof typeof users) => ({
      env: SECRETS,
      flags: ['--store', withUser(place.url, users[which]), '--bus', redis.url, '--drain-delay', '200ms'],
    })
    const start = (which: keyof typeof users) => TestServer.start(t, options(which))
    const nodes = [await start('old'), await start('old')]
    const urls = nodes.map(({ mqttUrl }) => mqttUrl)
    const token = (await nodes[0]?.token('phone-1')) ?? ''
    const device = new SdkDevice(t, { urls, deviceId: 'phone-1', token })
    await device.is('live')
    const pushing = push(nodes, 'phone-1')
    const goesOn = async (): Promise<void> => {
      const before = pushing.count()
      await until('pushes to go on', () => pushing.count() >= before + 20, PATIENCE_MS)
    }
    await goesOn()
    t.teardown(await makeUser(place, users.fresh))
    for (const node of nodes) {
      await node.stop()
      await node.restart(options('fresh'))
      await goesOn()
    }
    await dropOld()
    await goesOn()
    await pushing.stop()
    t.same(pushing.failures, [])
    await until(
      'all to be handled',
      () => device.handled.length >= pushing.count(),
      PATIENCE_MS,
      () => device.describe(),
    )
    t.equal(new Set(device.texts).size, device.handled.length, 'none twice')
    const away = device.states.filter((state) => state === 'connecting').length
    t.ok(away <= nodes.length, `away ${away} times`)
    await t.rejects(start('old'), /the user or password is wrong|ready line/)
    for (const { child } of nodes) t.notMatch(child.stderr, /-password-/, 'no password in the log')
  },
)
