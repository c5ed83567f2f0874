// A MongoDB store is put back to what it was, into the server that runs on, as docs/operations.md says; what devices and backends
// see then.

import { randomBytes } from 'node:crypto'
import type { Document, MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { restoreScenario } from '../support/backup/restore-scenario.js'
import { runCommand } from '../support/command.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { TestServer } from '../support/server.js'

t.setTimeout(300_000)
const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}

interface Place {
  readonly name: string
  readonly url: string
  readonly admin: MongoClient
}

/** An empty database; it is dropped with the test. */
async function database(t: Test): Promise<Place> {
  const mongo = await startMongo()
  const name = `postrider_test_${randomBytes(4).toString('hex')}`
  t.teardown(async () => {
    await mongo.admin.db(name).dropDatabase()
    await mongo.stop()
  })
  return { name, url: mongo.url(name), admin: mongo.admin }
}

type Copy = ReadonlyMap<string, readonly Document[]>

/** All documents, with numbers of the types that they have there. */
async function copyOf({ name, admin }: Place): Promise<Copy> {
  const db = admin.db(name)
  const collections = await db.listCollections({}, { nameOnly: true }).toArray()
  const read = async (collection: string): Promise<readonly [string, readonly Document[]]> => [
    collection,
    await db.collection(collection).find({}, { promoteValues: false, promoteBuffers: false }).toArray(),
  ]
  return new Map(await Promise.all(collections.map((each) => read(each.name))))
}

/** What a snapshot of the disks would have: everything as it was at one moment, in which nobody writes. */
async function snapshot(place: Place, server: TestServer): Promise<Copy> {
  process.kill(server.pid, 'SIGSTOP')
  try {
    // What the server was told before it stopped may still be carried out.
    for (let last = await copyOf(place); ;) {
      const next = await copyOf(place)
      if (JSON.stringify([...next]) === JSON.stringify([...last])) return next
      last = next
    }
  } finally {
    process.kill(server.pid, 'SIGCONT')
  }
}

/** Collections stay, with their indexes: to make those takes a server long. */
async function putBack({ name, admin }: Place, copy: Copy): Promise<void> {
  const db = admin.db(name)
  const there = await db.listCollections({}, { nameOnly: true }).toArray()
  await Promise.all(there.map((each) => db.collection(each.name).deleteMany({})))
  for (const [collection, documents] of copy)
    if (documents.length > 0) await db.collection(collection).insertMany([...documents])
}

void t.test(
  'backup mongodb: put into the server that runs on, and generation new: nothing is mistaken',
  { skip: noMongo },
  async (t) => {
    const place = await database(t)
    const kept: { copy: Copy } = { copy: new Map() }
    await restoreScenario(t, {
      env: SECRETS,
      flags: () => ['--store', place.url],
      folder: () => undefined,
      backUp: async (server) => {
        kept.copy = await snapshot(place, server)
        t.ok((kept.copy.get('devices')?.length ?? 0) >= 3, 'the devices are in it')
      },
      restore: async () => {
        await putBack(place, kept.copy)
        const done = await runCommand(t, ['generation', 'new'], { env: { POSTRIDER_STORE: place.url } })
        t.match(done, { code: 0, stderr: /is a new generation/ })
      },
    })
  },
)

const epochOf = async (server: TestServer): Promise<string> => {
  const { body } = await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x' })
  return typeof body === 'object' && body !== null && 'epoch' in body ? String(body.epoch) : ''
}

void t.test('generation mongodb: refused while it is served, and where no store is', { skip: noMongo }, async (t) => {
  const place = await database(t)
  const renew = (...flags: string[]) =>
    runCommand(t, ['generation', 'new', ...flags], { env: { POSTRIDER_STORE: place.url } })
  t.match(await renew(), { code: 78, stderr: /no Postrider has written there; is it the right server and database/ })
  t.same([...(await copyOf(place)).keys()], [], 'and nothing is made there')
  const server = await TestServer.start(t, { env: SECRETS, flags: ['--store', place.url] })
  const first = await epochOf(server)
  const refused = await renew()
  t.match(refused, { code: 75, stderr: /it is served.*stop all nodes first/ })
  t.equal(await epochOf(server), first)
  await server.stop()
  await server.restart()
  t.equal(await epochOf(server), first, 'a restart of the node is no new generation')
  await server.stop()
  const done = await renew()
  t.match(done, { code: 0, stderr: /mongodb:\/\/.* is a new generation/ })
  for (const { stderr } of [refused, done]) t.notMatch(stderr, /:[^/@]+@|authMechanism/, 'no password is shown')
  await server.restart()
  const second = await epochOf(server)
  t.not(second, first, 'the next message begins an epoch')
  t.equal(await epochOf(server), second, 'and those after it belong to it')
})

void t.test(
  'generation mongodb: of nodes with a bus: refused while one of them lives',
  { skip: noMongo === false ? noRedis : noMongo },
  async (t) => {
    const place = await database(t)
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const flags = ['--bus', redis.url]
    const server = await TestServer.start(t, { env: SECRETS, flags: ['--store', place.url, ...flags] })
    const first = await epochOf(server)
    const renew = (more: readonly string[]) =>
      runCommand(t, ['generation', 'new', ...more], { env: { POSTRIDER_STORE: place.url } })
    t.match(await renew(flags), { code: 75, stderr: /1 nodes serve it/ })
    t.match(await renew([]), { code: 75, stderr: /it is served/ }, 'also by who does not say the bus')
    await server.stop()
    t.match(await renew(flags), { code: 0 }, 'at once when all have ended well')
    await server.restart()
    t.not(await epochOf(server), first)
  },
)
