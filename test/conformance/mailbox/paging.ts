import type { Test } from 'tap'
import { messageSize } from '../../../core/model/message.js'
import type { Position } from '../../../core/model/message.js'
import type { Mailbox } from '../../../core/ports/mailbox.js'
import { ack, fill, message, messages, outline, own, page, range } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

interface Limits {
  readonly maxMessages: number
  readonly maxBytes: number
}

async function readPages(mailbox: Mailbox, start: Position, limits: Limits): Promise<string[][]> {
  const pages: string[][] = []
  let position = start
  for (;;) {
    const result = page(await mailbox.read({ device: 'd', claimId: 'claim-1', position, ...limits }))
    if (result.next.seq === position.seq) return pages
    pages.push(outline(result.entries))
    position = result.next
  }
}

/** Reads for delivery in pages. */
export function pagingConformance(t: Test, factory: StoreFactory): void {
  t.test('paging: by count', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    await fill(mailbox, 'd', 10)
    const pages = await readPages(mailbox, start, { maxMessages: 4, maxBytes: 1 << 20 })
    t.strictSame(
      pages.map((p) => p.filter((word) => !word.includes(' ')).length),
      [4, 4, 2],
    )
    t.strictSame(
      pages.flat(),
      range(1, 10).map((seq) => `${seq}`),
    )
  })

  t.test('paging: by bytes, but the first message of a page always fits', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    const items = [100, 100, 5000, 100, 100, 100].map((n) => message('d', { payload: Buffer.alloc(n) }))
    await mailbox.append(items)
    const size = messageSize(message('d', { payload: Buffer.alloc(100) }))
    const limits = { maxMessages: 100, maxBytes: 2 * size }
    t.strictSame(await readPages(mailbox, start, limits), [['1', '2'], ['3'], ['4', '5'], ['6']])
    t.strictSame(await readPages(mailbox, start, { maxMessages: 100, maxBytes: 1 }), [
      ['1'],
      ['2'],
      ['3'],
      ['4'],
      ['5'],
      ['6'],
    ])
  })

  t.test('paging: exceptions at the edges of pages are told once, and the last page reaches head', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    await fill(mailbox, 'd', 12)
    for (const seq of [1, 4, 5, 6, 9, 12]) await mailbox.cancel('d', seq, null)
    for (const maxMessages of [1, 2, 3, 50]) {
      const words = (await readPages(mailbox, start, { maxMessages, maxBytes: 1 << 20 })).flat()
      t.strictSame(
        words,
        range(1, 12).map((seq) => ([1, 4, 5, 6, 9, 12].includes(seq) ? `${seq} cancelled` : `${seq}`)),
        `pages of ${maxMessages}`,
      )
    }
  })

  t.test('paging: a page says where it ends, the head and the epoch', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    const empty = page(
      await mailbox.read({ device: 'd', claimId: 'claim-1', position: start, maxMessages: 5, maxBytes: 9999 }),
    )
    t.strictSame(empty, { kind: 'page', entries: [], next: start, head: 0, lastEpoch: start.epoch })
    const { epoch } = await fill(mailbox, 'd', 10)
    const read = async (seq: number) =>
      page(
        await mailbox.read({
          device: 'd',
          claimId: 'claim-1',
          position: { epoch, seq },
          maxMessages: 5,
          maxBytes: 9999,
        }),
      )
    t.match(await read(0), { next: { epoch, seq: 5 }, head: 10, lastEpoch: epoch })
    t.match(await read(7), { next: { epoch, seq: 10 }, head: 10 })
    t.match(await read(10), { entries: [], next: { epoch, seq: 10 }, head: 10 })
  })

  t.test('paging: what was handled meanwhile is left out', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    const { epoch } = await fill(mailbox, 'd', 10)
    await ack(mailbox, 'd', { epoch, seq: 6 })
    const result = page(
      await mailbox.read({ device: 'd', claimId: 'claim-1', position: start, maxMessages: 2, maxBytes: 9999 }),
    )
    t.strictSame(outline(result.entries), ['7', '8'])
    t.strictSame(result.next, { epoch, seq: 8 })
    await ack(mailbox, 'd', { epoch, seq: 10 })
    const rest = page(
      await mailbox.read({ device: 'd', claimId: 'claim-1', position: start, maxMessages: 2, maxBytes: 9999 }),
    )
    t.strictSame(rest.entries, [])
    t.strictSame(rest.next, { epoch, seq: 10 })
  })

  t.test('paging: a long backlog, partly from before a reopen, while acks trim it', async (t) => {
    const store = await openStore(t, factory, { limits: { inboxMax: 10_000 } })
    for (let i = 0; i < 4; i++) await store.mailbox.append(messages('d', 500))
    await store.reopen()
    for (let i = 0; i < 2; i++) await store.mailbox.append(messages('d', 500))
    let position = await own(store.mailbox, 'd')
    const seen: string[] = []
    while (position.seq < 3000) {
      const result = page(
        await store.mailbox.read({ device: 'd', claimId: 'claim-1', position, maxMessages: 64, maxBytes: 1 << 20 }),
      )
      seen.push(...outline(result.entries))
      position = result.next
      await ack(store.mailbox, 'd', { epoch: position.epoch, seq: Math.max(0, position.seq - 40) }, position)
    }
    t.strictSame(
      seen.map((word) => Number.parseInt(word, 10)),
      range(1, 3000),
    )
    t.match(await store.mailbox.info('d'), { head: 3000, cursor: 2960, pending: 40 })
  })
}
