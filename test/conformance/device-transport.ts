// The conformance suite of the DeviceTransport port. A transport's test file gives a transport whose socket is the test's, and a
// way to read what was written to it.

import type { Test } from 'tap'
import type { StoredMessage } from '../../core/model/message.js'
import type { DeviceTransport } from '../../courier/device-transport.js'
import { CLOSE_CODES, type CloseCode } from '../../protocol/codes.js'
import { range } from './messages.js'

export interface TransportHandle {
  readonly transport: DeviceTransport
  /** The seqs that have been written to the socket, whole, in that order. */
  written(): readonly number[]
  /** The socket takes nothing more, until `relieve`. */
  block(): void
  /** The socket passes on what it has, takes one more piece, and is full again. */
  pass(): void
  relieve(): void
  /** The codes with which the connection was ended. */
  readonly ended: readonly CloseCode[]
  /** The end of the event-loop turn. */
  turn(): Promise<void>
}

export interface TransportFactory {
  readonly name: string
  /** A transport that may send messages of the log `d:phone-1`. */
  open(): Promise<TransportHandle>
}

const LOG = 'd:phone-1'

const message = (seq: number, bytes = 100): StoredMessage => ({
  seq,
  at: 1_767_225_600_000,
  expiresAt: null,
  priority: seq % 2 === 0 ? 'high' : 'normal',
  dedupId: null,
  contentType: 'text/plain',
  attributes: null,
  payload: Buffer.alloc(bytes, String(seq % 10)),
})

function send({ transport }: TransportHandle, from: number, to: number, bytes?: number): void {
  for (const seq of range(from, to)) {
    transport.sendMessage(LOG, 'epochAAAAAA', message(seq, bytes), 0x8000 + seq, false, seq - 1)
  }
}

export function deviceTransportConformance(t: Test, factory: TransportFactory): void {
  const test = (title: string, body: (t: Test) => Promise<void>): void =>
    void t.test(`device transport: ${factory.name}: ${title}`, body)

  test('what is handed over goes out in that order', async (t) => {
    const handle = await factory.open()
    send(handle, 1, 50)
    await handle.turn()
    send(handle, 51, 60)
    handle.transport.sendGap(LOG, 'epochAAAAAA', 61, 62, 'overflow')
    handle.transport.sendMessage(LOG, 'epochBBBBBB', message(63), 0x9000, true, 62)
    await handle.turn()
    t.strictSame(handle.written(), [...range(1, 60), 63])
  })

  test('bytes count from the moment they are handed over until they leave', async (t) => {
    const handle = await factory.open()
    t.equal(handle.transport.bufferedBytes(), 0)
    handle.block()
    let before = 0
    for (const seq of range(1, 20)) {
      send(handle, seq, seq, 1_000)
      const now = handle.transport.bufferedBytes()
      t.ok(now >= before + 1_000, `${seq}: ${now}`)
      before = now
    }
    await handle.turn()
    t.ok(handle.transport.bufferedBytes() >= 20_000, 'the end of the turn changes nothing while the socket is full')
    handle.relieve()
    await handle.turn()
    t.equal(handle.transport.bufferedBytes(), 0)
    t.strictSame(handle.written(), range(1, 20))
  })

  test('they fall piece by piece, not only when all has left', async (t) => {
    const handle = await factory.open()
    handle.block()
    send(handle, 1, 1, 200_000)
    await handle.turn()
    const full = handle.transport.bufferedBytes()
    handle.pass()
    const less = handle.transport.bufferedBytes()
    t.ok(less < full && less > 0, `${full}, then ${less}`)
  })

  test('a payload may be used by others: it is not changed, and a view of it is as good', async (t) => {
    const handle = await factory.open()
    const shared = Buffer.alloc(300, 'a')
    const one: StoredMessage = { ...message(1), payload: shared.subarray(100, 200) }
    handle.transport.sendMessage(LOG, 'epochAAAAAA', one, 0x8001, false, 0)
    await handle.turn()
    t.ok(shared.equals(Buffer.alloc(300, 'a')))
    t.strictSame(handle.written(), [1])
  })

  test('close ends the connection once, with the code, and nothing is sent after it', async (t) => {
    for (const code of Object.keys(CLOSE_CODES).filter((c): c is CloseCode => c in CLOSE_CODES)) {
      const handle = await factory.open()
      send(handle, 1, 3)
      await handle.turn()
      handle.transport.close(code)
      t.doesNotThrow(() => {
        send(handle, 4, 5)
        handle.transport.sendGap(LOG, 'epochAAAAAA', 6, 7, 'retention')
        handle.transport.close(code)
      })
      await handle.turn()
      t.strictSame([handle.ended[0], handle.written()], [code, [1, 2, 3]], code)
      t.ok(handle.transport.bufferedBytes() >= 0)
    }
  })
}
