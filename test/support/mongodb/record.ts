// Records what a real server makes of the documents and updates that the driver builds, for test/unit/mongodb-documents.test.ts:
//
//   MONGODB_TEST_URL=mongodb://… node --import=tsx test/support/mongodb/record.ts > test/unit/mongodb-recorded.json

import { BSON, MongoClient } from 'mongodb'
import { CLIENT_OPTIONS } from '../../../core/stores/mongodb/connection.js'
import { type Recorded, STEPS, stepOf } from './recorded-steps.js'
import { withDatabase } from './server.js'

const client = await new MongoClient(
  withDatabase(process.env['MONGODB_TEST_URL'] ?? '', 'postrider_test_record'),
  CLIENT_OPTIONS,
).connect()
const devices = client.db().collection<{ _id: string }>('devices')
await devices.deleteMany({})
const { version } = await client.db().command({ buildInfo: 1 })
const recorded: Recorded[] = []
let before: unknown = null
for (const name of Object.keys(STEPS)) {
  const { write } = stepOf(name, before)
  if (write.kind === 'insert') await devices.insertOne(write.document)
  else await devices.updateOne(write.filter, write.update)
  const after = await devices.findOne({ _id: 'device-1' })
  recorded.push({ name, before, write, after })
  before = after
}
await client.db().dropDatabase()
await client.close()
// By way of BSON: a buffer is bytes there, and in EJSON it would be an object.
const all = BSON.deserialize(BSON.serialize({ server: String(version), recorded }))
process.stdout.write(`${BSON.EJSON.stringify(all, { relaxed: false })}\n`)
