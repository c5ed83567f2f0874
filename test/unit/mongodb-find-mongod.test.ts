import t from 'tap'
import { findMongod, type MongodSources } from '../support/mongodb/find-mongod.js'

const missing = () => Promise.reject(new Error("Cannot find package 'mongodb-memory-server-core'"))
const find = (sources: Partial<MongodSources>) =>
  findMongod({ env: {}, answers: () => false, load: missing, ...sources })
const withPath = (path: unknown) => () => Promise.resolve({ MongoBinary: { getPath: () => Promise.resolve(path) } })

t.test('mongod for tests: the one that is named, then the one on PATH, then what the package downloads', async (t) => {
  const all = { answers: () => true, load: withPath('/cache/mongod') }
  t.match(await find({ ...all, env: { MONGOD_BIN: '/opt/mongod' } }), { program: '/opt/mongod' })
  t.match(await find(all), { program: 'mongod' })
  const downloaded = await find({ answers: (program) => program === '/cache/mongod', load: withPath('/cache/mongod') })
  t.match(downloaded, { program: '/cache/mongod', why: false })
})

t.test('mongod for tests: without one it is said why', async (t) => {
  t.match(await find({}), {
    program: null,
    why: /install MongoDB 4\.2 or newer, set MONGOD_BIN, or install .*Cannot find package/,
  })
  t.match(await find({ env: { MONGOD_BIN: '/opt/x' } }), { program: null, why: 'MONGOD_BIN (/opt/x) is no mongod' })
  t.match(await find({ load: () => Promise.resolve({}) }), { why: /no MongoBinary\.getPath/ })
  t.match(await find({ load: withPath(7) }), { why: /names no binary/ })
  t.match(await find({ load: withPath('/cache/x') }), { why: /downloaded is no mongod/ })
})
