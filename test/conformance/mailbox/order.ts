import type { Test } from 'tap'
import { accepted, fill, message, messages, outline, own, push, range, readAll, textOf } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

/** Seqs are head+1, head+2, …; what was appended is read back byte for byte, in that order. */
export function orderConformance(t: Test, factory: StoreFactory): void {
  t.test('order: the first message of a device is seq 1, and each call goes on from head', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const first = await push(mailbox, 'd')
    t.equal(first.seq, 1)
    t.equal(first.duplicate, false)
    t.match(first.epoch, /^\S+$/)
    const rest = (await mailbox.append(messages('d', 3))).map(accepted)
    t.strictSame(
      rest.map((r) => r.seq),
      [2, 3, 4],
    )
    t.ok(
      rest.every((r) => r.epoch === first.epoch),
      'one epoch',
    )
  })

  t.test('order: results stand in the order of the items, each device counts for itself', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const results = await mailbox.append(['a', 'b', 'a', 'c', 'b', 'a'].map((device) => message(device)))
    t.strictSame(
      results.map((r) => accepted(r).seq),
      [1, 1, 2, 1, 2, 3],
    )
    const epochs = ['a', 'b', 'c'].map((_, i) => accepted(results[[0, 1, 3][i] ?? 0]).epoch)
    t.equal(new Set(epochs).size, 3, 'no two devices share an epoch')
  })

  t.test('order: items of one device in one call are read in array order', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    await mailbox.append(messages('d', 50))
    const { entries } = await readAll(mailbox, 'd', 'claim-1', start)
    t.strictSame(
      entries.map((entry) => (entry.kind === 'message' ? textOf(entry.message.payload) : entry.kind)),
      range(1, 50).map((i) => `m${i}`),
    )
  })

  t.test('order: a message comes back as it was given', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    const given = [
      message('d', { payload: new Uint8Array(0) }),
      message('d', { payload: Uint8Array.from(range(0, 255)), contentType: 'application/octet-stream' }),
      message('d', { payload: Buffer.alloc(256 * 1024, 7), priority: 'high' }),
      message('d', { contentType: 'text/plain; charset="ü"', dedupId: 'ключ\u0000\u{1f511}' }),
      message('d', {
        attributes: [
          ['', ''],
          ['__proto__', 'x'],
          ['constructor', '\u0000'],
          ['é', '𝄞'],
        ],
      }),
      message('d', { ttl: 60, attributes: [] }),
    ]
    const results = (await mailbox.append(given)).map(accepted)
    const { entries } = await readAll(mailbox, 'd', 'claim-1', start)
    t.equal(entries.length, given.length)
    for (const [i, entry] of entries.entries()) {
      const sent = given[i]
      const result = results[i]
      if (entry.kind !== 'message' || sent === undefined || result === undefined) throw new Error('not a message')
      const { payload, attributes, ...rest } = entry.message
      t.ok(Buffer.from(payload).equals(sent.payload), `payload of ${i}`)
      t.strictSame(attributes?.length === 0 ? null : attributes, sent.attributes?.length === 0 ? null : sent.attributes)
      const { contentType, dedupId, priority } = sent
      const { seq, at, expiresAt } = result
      t.strictSame(rest, { seq, at, expiresAt, contentType, dedupId, priority }, `fields of ${i}`)
    }
    t.equal(results[5]?.expiresAt, (results[5]?.at ?? 0) + 60_000, 'expiresAt is at + ttl')
    t.equal(results[0]?.expiresAt, null)
  })

  t.test('order: nothing to do is answered with nothing', async (t) => {
    const { mailbox } = await openStore(t, factory)
    t.strictSame(await mailbox.append([]), [])
    t.strictSame(await mailbox.ack([]), [])
    t.strictSame(await mailbox.heads([]), [])
  })

  t.test('order: ids that are names of object properties are devices like others', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const ids = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a:b', 'a@b', '-', '_', '0', 'x'.repeat(128)]
    await mailbox.append(ids.map((device) => message(device, { dedupId: '__proto__', payload: device })))
    for (const device of ids) {
      const start = await own(mailbox, device)
      const { entries, head } = await readAll(mailbox, device, 'claim-1', start)
      t.equal(head, 1, device)
      t.strictSame(outline(entries), ['1'], device)
      const retry = await push(mailbox, device, { dedupId: '__proto__', payload: device })
      t.equal(retry.duplicate, true, device)
    }
    await fill(mailbox, 'a', 1)
    t.equal((await mailbox.info('a'))?.head, 1, 'a prefix of another id is another device')
    t.equal(await mailbox.info('prototype'), null)
  })
}
