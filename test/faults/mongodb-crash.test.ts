import { randomBytes } from 'node:crypto'
import t from 'tap'
import { crashConformance } from '../conformance/crash/index.js'
import { openForCrash } from '../support/mongodb/crash-opener.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'

if (noMongo === false) {
  const mongo = await startMongo()
  const name = `postrider_test_${randomBytes(4).toString('hex')}`
  crashConformance(t, {
    name: 'mongodb',
    opener: new URL('../support/mongodb/crash-opener.ts', import.meta.url),
    openForCrash,
    prepare: async () => mongo.url(name),
  })
  t.test('mongodb: is ended', async (t) => {
    await mongo.admin.db(name).dropDatabase()
    await mongo.stop()
    t.pass()
  })
} else t.pass('needs MongoDB', { skip: noMongo })
