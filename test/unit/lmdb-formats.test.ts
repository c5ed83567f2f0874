// What an earlier version wrote must be read by this one.

import t from 'tap'
import { ByteWriter } from '../../core/stores/lmdb/bytes.js'
import { InboxState } from '../../core/stores/lmdb/inbox-state.js'
import { JournalWriter, readChanges } from '../../core/stores/lmdb/journal-codec.js'
import { decodeRecord, encodeRecord } from '../../core/stores/lmdb/record-codec.js'

function state(): InboxState {
  const made = new InboxState('phone-1', 7, 1_000, 'epoch', 'generation')
  Object.assign(made, { head: 9, cursor: 3, sent: 5, received: 4, exceptionsFloor: 2, pending: 6, usedAt: 2_000 })
  Object.assign(made, { receiptUpTo: 8, toldOfflineAt: 3_000 })
  return made
}

/** The same bytes as format 1 has them: without the 6 bytes of `received`. */
function asFormat1(bytes: Buffer, at: number): Buffer {
  const old = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 6)])
  old[0] = 1
  return old
}

/** A record of format 2 has not the two fields at the end. */
function asFormat2(record: Buffer): Buffer {
  const old = Buffer.from(record.subarray(0, -12))
  old[0] = 2
  return old
}

void t.test('lmdb formats: a record of format 1 is read, nothing in it counts as received', async (t) => {
  const bytes = encodeRecord(new ByteWriter(), state(), 12)
  const fields = { head: 9, cursor: 3, sent: 5, exceptionsFloor: 2, pending: 6, usedAt: 2_000, recordGroup: 12 }
  t.match(decodeRecord('phone-1', bytes), { ...fields, received: 4 })
  const received = 1 + 10 * 6
  t.equal(bytes.readUIntBE(received, 6), 4, 'where it stands')
  t.match(decodeRecord('phone-1', asFormat1(asFormat2(bytes), received)), { ...fields, received: 0 })
})

void t.test('lmdb formats: a record of format 2 is read, no message of it has a receipt', async (t) => {
  const bytes = encodeRecord(new ByteWriter(), state(), 12)
  const fields = { head: 9, cursor: 3, received: 4 }
  t.match(decodeRecord('phone-1', bytes), { ...fields, receiptUpTo: 8, toldOfflineAt: 3_000 })
  t.match(decodeRecord('phone-1', asFormat2(bytes)), { ...fields, receiptUpTo: 0, toldOfflineAt: 0 })
})

void t.test('lmdb formats: an ack in a journal of format 1 is read', async (t) => {
  const journal = new JournalWriter(1_000)
  journal.ack(state())
  const [part] = journal.finish()
  if (part === undefined) throw new Error('no part')
  const fields = { kind: 'ack', device: 'phone-1', number: 7, cursor: 3, sent: 5 }
  t.match([...readChanges(part)], [{ ...fields, received: 4 }])
  t.match([...readChanges(asFormat1(part, part.length - 6))], [{ ...fields, received: 0 }])
})

void t.test('lmdb formats: a newer one is refused', async (t) => {
  const bytes = encodeRecord(new ByteWriter(), state(), 12)
  bytes[0] = 4
  t.throws(() => decodeRecord('phone-1', bytes), { name: 'RangeError' })
  t.throws(() => [...readChanges(Buffer.from([4]))], { name: 'RangeError' })
})
