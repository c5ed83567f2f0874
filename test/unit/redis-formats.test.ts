import t from 'tap'
import { decodePacket, encodeNotice, encodePacket, noticesPacket } from '../../core/bus/redis/packet.js'
import { behindAdditions, FORMAT, NEWEST_FORMAT, readableFormat } from '../../core/stores/redis/formats.js'
import { decodeEntry, encodeBody } from '../../core/stores/redis/message-codec.js'
import { decodeQueued, encodeQueued } from '../../core/stores/redis/session-codec.js'
import { decodeUplink, encodeUplink } from '../../core/stores/redis/uplink-codec.js'
import { noticeOf } from '../support/redis/bus.js'

const addition = Buffer.from([0, 0, 0, 3, 7, 7, 7])
const added = (bytes: Buffer, at: number, format = NEWEST_FORMAT): Buffer => {
  const out = Buffer.concat([bytes.subarray(0, at), addition, bytes.subarray(at)])
  if (at > 0) out[0] = format
  return out
}
const STREAM = Buffer.from('12345678')
const ENTRY_HEAD = 23
const UPLINK_HEAD = 11
const PACKET_HEAD = 16

t.test('redis formats: the next one is read, the one behind it is not', async (t) => {
  t.equal(NEWEST_FORMAT, FORMAT + 1)
  t.equal(readableFormat(FORMAT, 'it'), FORMAT)
  t.equal(readableFormat(NEWEST_FORMAT, 'it'), NEWEST_FORMAT)
  for (const unknown of [0, NEWEST_FORMAT + 1, undefined, '1']) {
    t.throws(() => readableFormat(unknown, 'it'), { message: /^it has the unknown format/ })
  }
  t.equal(behindAdditions(Buffer.concat([Buffer.alloc(2), addition]), 2, 1), 2)
  t.equal(behindAdditions(Buffer.concat([Buffer.alloc(2), addition]), 2, 2), 9)
  t.throws(() => behindAdditions(Buffer.alloc(3), 1, 2), RangeError)
})

t.test('redis formats: entries with additions', async (t) => {
  const { message } = noticeOf(5)
  const head = Buffer.alloc(ENTRY_HEAD)
  head[0] = FORMAT
  head.writeUIntBE(message.at, 1, 6)
  const entry = Buffer.concat([head, encodeBody(message)])
  const known = decodeEntry(5, entry)
  t.same(known, message)
  t.same(decodeEntry(5, added(entry, ENTRY_HEAD)), known)
  t.throws(() => decodeEntry(5, added(entry, ENTRY_HEAD, NEWEST_FORMAT + 1)), RangeError)

  const uplinkHead = Buffer.alloc(UPLINK_HEAD)
  uplinkHead[0] = FORMAT
  const uplink = {
    device: 'd',
    channel: 'c',
    contentType: null,
    will: true,
    payload: Buffer.from('p'),
    dedupId: null,
  }
  const stored = Buffer.concat([uplinkHead, encodeUplink(uplink)])
  t.same(decodeUplink('1-0', added(stored, UPLINK_HEAD)), decodeUplink('1-0', stored))

  const queued = { number: 3, topic: 't', payload: Buffer.from('p'), qos: 1, retain: false, released: false } as const
  const bytes = encodeQueued(queued)
  t.same(decodeQueued(added(bytes, 12)), decodeQueued(bytes))
})

t.test('redis formats: packets with additions', async (t) => {
  const notice = noticeOf(7)
  const plain = noticesPacket(STREAM, 4, [[encodeNotice(notice)]])
  // A notice of the next version has an addition in front of its message, whose length counts it.
  const longer = encodeNotice(notice)
  const at = longer.length - encodeBody(notice.message).length
  longer.writeUInt32BE(longer.readUInt32BE(at - 4) + addition.length, at - 4)
  const next = added(noticesPacket(STREAM, 4, [[added(longer, at, longer[0])]]), PACKET_HEAD)
  t.same(decodePacket(next), decodePacket(plain))
  const kick = encodePacket(STREAM, 5, { kind: 'answer', id: 9, done: true })
  t.same(decodePacket(added(kick, PACKET_HEAD)), decodePacket(kick))

  t.equal(decodePacket(added(kick, PACKET_HEAD, NEWEST_FORMAT + 1)), 'newer')
  const unknown = added(kick, PACKET_HEAD)
  unknown[1] = 200
  t.equal(decodePacket(unknown), 'newer', 'a kind that only the next version knows')
  const damaged = Buffer.from(kick)
  damaged[1] = 200
  t.throws(() => decodePacket(damaged), RangeError)
})
