// A real MongoDB for tests: the one that MONGODB_TEST_URL names, else replica sets of the test's own from the `mongod` that is found
// (find-mongod.ts): ephemeral ports on loopback, temporary folders, ended by their pids.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Db, MongoClient } from 'mongodb'
import type { Test } from 'tap'
import { freePort } from '../redis/server.js'
import { findMongod } from './find-mongod.js'

const GIVEN = process.env['MONGODB_TEST_URL']
const FOUND = await findMongod()

/** False: the tests can start servers of their own. Else why those that must kill or stop one are skipped. */
export const noMongod: string | false = FOUND.why

/** False: there is a server. Else why the tests that need one are skipped. */
export const noMongo: string | false =
  GIVEN !== undefined || noMongod === false
    ? false
    : `there is no MongoDB: set MONGODB_TEST_URL to a server on which databases may be made; ${noMongod}`

export interface MongoServer {
  /** The URL of the database `name` on it. */
  url(name: string): string
  /** For the test itself; ended with the server. */
  readonly admin: MongoClient
  stop(): Promise<void>
}

/** `url` with the database in its path. */
export function withDatabase(url: string, name: string): string {
  const match = /^([^/]+:\/\/[^/?]+)\/?[^?]*(\?.*)?$/.exec(url)
  if (match === null) throw new Error('MONGODB_TEST_URL is not of the form mongodb://host:port/?options')
  const [, hosts = '', query = ''] = match
  // Without it the driver would look for the user in the database.
  const source = hosts.includes('@') && !query.includes('authSource=')
  return `${hosts}/${name}${query}${source ? `${query === '' ? '?' : '&'}authSource=admin` : ''}`
}

/** The given server, or a replica set of one. */
export async function startMongo(): Promise<MongoServer> {
  if (GIVEN === undefined) return startReplicaSet(1)
  const admin = await new MongoClient(withDatabase(GIVEN, 'admin')).connect()
  return { url: (name) => withDatabase(GIVEN, name), admin, stop: () => admin.close() }
}

/** An empty database on a server; both end with the test. */
export async function databaseOf(t: Test): Promise<{ readonly url: string; readonly db: Db }> {
  const server = await startMongo()
  const name = `postrider_test_${randomBytes(4).toString('hex')}`
  const db = server.admin.db(name)
  t.teardown(async () => {
    await db.dropDatabase()
    await server.stop()
  })
  return { url: server.url(name), db }
}

/** A server process of a replica set. */
export interface Member {
  readonly port: number
  readonly process: ChildProcess
}

export interface ReplicaSet extends MongoServer {
  readonly members: readonly Member[]
}

export async function startReplicaSet(size: 1 | 3): Promise<ReplicaSet> {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-mongod-'))
  const members: Member[] = []
  for (let i = 0; i < size; i++) members.push(await startMember(folder, i))
  const hosts = members.map(({ port }) => `127.0.0.1:${port}`)
  const first = await new MongoClient(`mongodb://${hosts[0] ?? ''}/?directConnection=true`).connect()
  await first.db('admin').command({
    replSetInitiate: { _id: 'test', members: hosts.map((host, _id) => ({ _id, host })) },
  })
  await first.close()
  const url = (name: string): string => `mongodb://${hosts.join(',')}/${name}?replicaSet=test`
  const admin = await new MongoClient(url('admin'), { serverSelectionTimeoutMS: 60_000 }).connect()
  return {
    members,
    url,
    admin,
    async stop() {
      await admin.close()
      for (const { process } of members) {
        if (process.exitCode !== null || process.signalCode !== null) continue
        process.kill('SIGKILL')
        await once(process, 'exit')
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function startMember(folder: string, index: number): Promise<Member> {
  const port = await freePort()
  const dbpath = mkdtempSync(join(folder, `member-${index}-`))
  const log = join(dbpath, 'log')
  if (FOUND.program === null) throw new Error(FOUND.why)
  const process = spawn(
    FOUND.program,
    ['--port', String(port), '--dbpath', dbpath, '--replSet', 'test', '--bind_ip', '127.0.0.1', '--logpath', log],
    { stdio: 'ignore' },
  )
  const probe = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: 60_000,
  })
  await probe.connect()
  await probe.close()
  return { port, process }
}
