// What the crash suite knows from the lines of its children, and how a store is held against it.

import assert from 'node:assert/strict'
import type { Mailbox } from '../../../core/ports/mailbox.js'
import { accepted, range, stateOf, textOf } from '../messages.js'
import { type Line, messageOf } from './protocol.js'

interface Known {
  readonly seq: number
  readonly epoch: string
}

class DeviceTruth {
  /** Answered appends. */
  readonly answered = new Map<string, Known>()
  /** Calls that were asked for and not answered, by the ids of each. */
  readonly open = new Set<readonly string[]>()
  readonly cancelled = new Set<number>()
  /** The highest cursor that was answered. */
  cursor = 0
  /** Answered since the store was last looked at. */
  fresh: string[] = []
}

const CHUNK = 500

export class Truth {
  readonly #devices = new Map<string, DeviceTruth>()
  appended = 0
  acked = 0

  take(line: Line): void {
    switch (line.kind) {
      case 'opening':
      case 'open':
        return
      case 'broken':
        throw new Error(`the child was answered wrongly: ${line.text}`)
      case 'asked':
        this.#device(line.device).open.add(line.ids)
        return
      case 'appended': {
        const device = this.#device(line.device)
        device.answered.set(line.id, line)
        device.fresh.push(line.id)
        this.appended++
        return
      }
      case 'acked': {
        const device = this.#device(line.device)
        assert.ok(line.cursor >= line.seq)
        device.cursor = Math.max(device.cursor, line.cursor)
        this.acked++
        return
      }
      case 'cancelled':
        this.#device(line.device).cancelled.add(line.seq)
    }
  }

  #device(name: string): DeviceTruth {
    const known = this.#devices.get(name)
    if (known !== undefined) return known
    const device = new DeviceTruth()
    this.#devices.set(name, device)
    return device
  }

  /** Holds the store against everything that was ever answered. Afterwards every call is answered. */
  async check(mailbox: Mailbox): Promise<void> {
    for (const [name, device] of this.#devices) {
      await checkCursor(mailbox, name, device)
      await checkAnswered(mailbox, name, device)
      await settleOpen(mailbox, name, device)
      await checkLog(mailbox, name, device)
    }
  }
}

/** Every answered ack is kept, and what was acknowledged is not pending again. */
async function checkCursor(mailbox: Mailbox, name: string, device: DeviceTruth): Promise<void> {
  const info = await mailbox.info(name)
  if (info === null) {
    assert.equal(device.answered.size, 0, `${name} is lost`)
    return
  }
  assert.ok(info.cursor >= device.cursor, `${name}: cursor ${info.cursor}, but ${device.cursor} was answered`)
  assert.ok(info.cursor <= info.head)
  let top = 0
  for (const { seq } of device.answered.values()) top = Math.max(top, seq)
  assert.ok(info.head >= top, `${name}: head ${info.head}, but ${top} was answered`)
}

/** Dedup answers the first result again; the state of each is what was answered of it. */
async function checkAnswered(mailbox: Mailbox, name: string, device: DeviceTruth): Promise<void> {
  const older = [...device.answered.keys()].filter((_, i) => i % 17 === 0)
  const ids = [...new Set([...device.fresh, ...older])]
  device.fresh = []
  const cursor = (await mailbox.info(name))?.cursor ?? 0
  for (let i = 0; i < ids.length; i += CHUNK) {
    const chunk = ids.slice(i, i + CHUNK)
    const results = await mailbox.append(chunk.map((id) => messageOf(name, id)))
    for (const [j, id] of chunk.entries()) {
      const first = device.answered.get(id)
      const { seq, epoch, duplicate } = accepted(results[j])
      assert.deepEqual(
        { seq, epoch, duplicate },
        { seq: first?.seq, epoch: first?.epoch, duplicate: true },
        `${name} ${id}`,
      )
    }
    const states = await Promise.all(
      chunk.map((id) => {
        const { seq, epoch } = device.answered.get(id) ?? { seq: 0, epoch: '' }
        return stateOf(mailbox, name, seq, epoch)
      }),
    )
    for (const [j, id] of chunk.entries()) {
      const seq = device.answered.get(id)?.seq ?? 0
      const state = states[j] ?? ''
      // Only exceptions below the cursor may be forgotten, when there are too many.
      const allowed = device.cancelled.has(seq)
        ? ['cancelled']
        : seq <= device.cursor
          ? ['handled', 'cancelled']
          : ['queued', 'sent', 'handled', 'cancelled']
      if (seq <= cursor) allowed.push('gone')
      assert.ok(allowed.includes(state), `${name} ${seq}: ${state}, not ${allowed.join(' or ')}`)
    }
  }
}

/** Calls that were not answered happened as a whole or not at all; the retry answers them. */
async function settleOpen(mailbox: Mailbox, name: string, device: DeviceTruth): Promise<void> {
  for (const ids of device.open) {
    if (ids.every((id) => device.answered.has(id))) continue
    const results = (await mailbox.append(ids.map((id) => messageOf(name, id)))).map(accepted)
    const there = results.filter((result) => result.duplicate).length
    assert.ok(
      there === 0 || there === ids.length,
      `${name}: ${there} of the ${ids.length} messages of one call are there`,
    )
    for (const [i, id] of ids.entries()) {
      const { seq, epoch } = accepted(results[i])
      const known = device.answered.get(id) // of a call whose answer was being written
      if (known !== undefined) assert.equal(known.seq, seq)
      device.answered.set(id, { seq, epoch })
    }
  }
  device.open.clear()
}

/** Every seq up to head is one message, and what is pending is whole and in order. */
async function checkLog(mailbox: Mailbox, name: string, device: DeviceTruth): Promise<void> {
  const info = await mailbox.info(name)
  if (info === null) return
  const bySeq = new Map([...device.answered].map(([id, { seq }]) => [seq, id]))
  assert.equal(bySeq.size, device.answered.size, `${name}: two messages have one seq`)
  assert.equal(bySeq.size, info.head, `${name}: the seqs have holes`)
  assert.ok(range(1, info.head).every((seq) => bySeq.has(seq)))

  const pending: number[] = []
  for (let after = 0, more = true; more;) {
    const page = await mailbox.peek(name, { after, limit: 1000, maxBytes: 1 << 24 })
    if (page === null) throw new Error(`${name} is gone`)
    for (const { epoch, message } of page.messages) {
      const id = bySeq.get(message.seq) ?? ''
      assert.equal(message.dedupId, id)
      assert.equal(textOf(message.payload), textOf(messageOf(name, id).payload), `${name} ${message.seq} is torn`)
      assert.equal(epoch, device.answered.get(id)?.epoch)
      assert.ok(message.seq > after, 'in order')
      after = message.seq
      pending.push(message.seq)
    }
    more = page.more
  }
  assert.ok((pending[0] ?? Infinity) > device.cursor, `${name}: a handled message is pending again`)
  assert.ok(!pending.some((seq) => device.cancelled.has(seq)), `${name}: a cancelled message is pending again`)
  assert.equal(pending.length, info.pending, `${name}: pending`)
}
