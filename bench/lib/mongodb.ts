// A MongoDB for scenarios: not started here, but given. Each use is a database of its own, dropped at the end.
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { MongoClient } from 'mongodb'
import { CLIENT_OPTIONS } from '../../core/stores/mongodb/connection.js'
import { rounded } from './numbers.js'
import type { Scope } from './scope.js'

/** In the environment alone, for there may be a password in it, and flags can be seen by every user of the machine. Null: there is none. */
export const givenMongodb = (): string | null => process.env['MONGODB_TEST_URL'] ?? null
export const NO_MONGODB = 'not measured: MONGODB_TEST_URL names no server on which databases may be made and dropped'

/** The URL of a new database on the server of `url`; dropped with `scope`. */
export async function newDatabase(scope: Scope, url: string): Promise<string> {
  const match = /^([^/]+:\/\/[^/?]+)\/?[^?]*(\?.*)?$/.exec(url)
  if (match === null) throw new Error('the URL of MongoDB is not of the form mongodb://host:port/?options')
  const [, hosts = '', query = ''] = match
  // Without it the driver would look for the user in the database.
  const source = hosts.includes('@') && !query.includes('authSource=')
  const name = `postrider_bench_${randomBytes(4).toString('hex')}`
  const whole = `${hosts}/${name}${query}${source ? `${query === '' ? '?' : '&'}authSource=admin` : ''}`
  const client = await new MongoClient(whole, CLIENT_OPTIONS).connect()
  scope.defer(async () => {
    await client.db().dropDatabase()
    await client.close()
  })
  return whole
}

const WRITERS = 64
const DOCUMENTS = 1_000
const WARM_UP_MS = 1_500

export interface OwnRate {
  readonly perSecond: number
  /** CPU of this process; of the server, where the caller can tell. */
  readonly nodeMicrosEach: number
  readonly serverMicrosEach: number | null
}

/**
 * What the server does by itself: small documents, each update of one of them in a command of its own, acknowledged by a majority that
 * has it in the journal, 64 at one time, by a bare loop over the same package with the same settings.
 */
export async function ownRate(url: string, seconds: number, serverCpu: (() => number) | null): Promise<OwnRate> {
  const client = await new MongoClient(url, CLIENT_OPTIONS).connect()
  try {
    const documents = client.db().collection<{ _id: string; n: number }>('own_rate')
    const ids = Array.from({ length: DOCUMENTS }, (_, i) => `document-${i}`)
    await documents.deleteMany({})
    await documents.insertMany(ids.map((_id) => ({ _id, n: 0 })))
    let done = 0
    const state = { ended: false }
    const writers = Promise.all(
      Array.from({ length: WRITERS }, async (_, writer) => {
        for (let n = writer; !state.ended; n += WRITERS) {
          await documents.updateOne({ _id: ids[n % ids.length] ?? '' }, { $inc: { n: 1 } })
          done++
        }
      }),
    )
    const part = async (ms: number) => {
      const [before, server, node, from] = [done, serverCpu?.() ?? 0, process.cpuUsage(), performance.now()]
      await delay(ms)
      const count = Math.max(1, done - before)
      const { user, system } = process.cpuUsage(node)
      return {
        perSecond: rounded((done - before) / ((performance.now() - from) / 1000)),
        nodeMicrosEach: rounded((user + system) / count, 1),
        serverMicrosEach: serverCpu === null ? null : rounded(((serverCpu() - server) / count) * 1e6, 1),
      }
    }
    // Connections are made, compilers are warm.
    await Promise.race([part(WARM_UP_MS), writers])
    const rate = await Promise.race([part(seconds * 1000), writers.then(() => null)])
    state.ended = true
    await writers
    if (rate === null) throw new Error('the writers ended by themselves')
    return rate
  } finally {
    await client.close()
  }
}
