// Where the tests have a `mongod` from: MONGOD_BIN, else the one on PATH, else what `mongodb-memory-server-core` downloads. That
// package is no dependency of the project: it is used where somebody has installed it.

import { spawnSync } from 'node:child_process'

const PACKAGE = 'mongodb-memory-server-core'

export interface MongodSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** A program that says that it is a mongod. */
  readonly answers: (program: string) => boolean
  /** The package; rejects where it is not installed. */
  readonly load: () => Promise<unknown>
}

export type FoundMongod =
  { readonly program: string; readonly why: false } | { readonly program: null; readonly why: string }

const REAL: MongodSources = {
  env: process.env,
  answers: (program) => /db version v/.test(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout ?? ''),
  load: () => import(PACKAGE),
}

/** Never rejects: there is a reason why there is none. */
export async function findMongod({ env, answers, load }: MongodSources = REAL): Promise<FoundMongod> {
  const given = env['MONGOD_BIN']
  const program = given ?? 'mongod'
  if (answers(program)) return { program, why: false }
  if (given !== undefined) return none(`MONGOD_BIN (${given}) is no mongod`)
  try {
    const downloaded = await download(await load())
    return answers(downloaded) ? { program: downloaded, why: false } : none(`what ${PACKAGE} downloaded is no mongod`)
  } catch (error) {
    const reason = error instanceof Error ? error.message.split(/\n| imported from /)[0] : String(error)
    return none(
      `there is no mongod to start: install MongoDB 4.2 or newer, set MONGOD_BIN, or install ${PACKAGE} (${reason})`,
    )
  }
}

const none = (why: string): FoundMongod => ({ program: null, why })

/** The path of the binary, which the package downloads when it does not have it. */
async function download(module: unknown): Promise<string> {
  const binary: unknown = memberOf(module, 'MongoBinary')
  const getPath: unknown = memberOf(binary, 'getPath')
  if (typeof getPath !== 'function') throw new TypeError(`${PACKAGE} has no MongoBinary.getPath`)
  const path: unknown = await Reflect.apply(getPath, binary, [])
  if (typeof path !== 'string') throw new TypeError(`${PACKAGE} names no binary`)
  return path
}

const memberOf = (value: unknown, name: string): unknown =>
  (typeof value === 'object' || typeof value === 'function') && value !== null ? Reflect.get(value, name) : undefined
