// The bus of a single process: nodes are handlers in one map, and a frame is a function call.
//
// Notices are delivered inside `notify`, so that a live message costs no turn of the event loop. Two things keep that safe
// for the sender: a handler that throws against its contract is reported and told to sweep (`onGap`), never thrown at the
// sender; and a frame sent while the same node is being handed another one waits until that call returns, so that a handler
// is never re-entered and sees frames in the order sent.

import { StoreUnavailable } from '../../errors.js'
import type { Bus, BusHandler, Kick, Notice } from '../../ports/bus.js'

/** Plain numbers, incremented in place. */
export class LocalBusCounters {
  noticesDelivered = 0
  /** Notices to nodes that are not joined. */
  noticesDropped = 0
  kicks = 0
  /** Kicks that were not confirmed in time, or by no node at all. */
  kicksUnconfirmed = 0
  /** Handlers that threw or rejected, against their contract. */
  handlerErrors = 0
}

export interface LocalBusOptions {
  readonly counters?: LocalBusCounters
  /** Told of every handler that broke its contract. Must not throw. Default: a process warning. */
  readonly onHandlerError?: (error: Error) => void
}

interface Member {
  readonly handler: BusHandler
  /** A call of the handler is on the stack. */
  delivering: boolean
  /** Frames sent meanwhile. */
  waiting: Array<readonly Notice[]>
}

const asError = (cause: unknown): Error => new Error('a bus handler failed', { cause })

export function createLocalBus(options: LocalBusOptions = {}): Bus {
  const counters = options.counters ?? new LocalBusCounters()
  const onHandlerError = options.onHandlerError ?? ((error: Error) => process.emitWarning(error))
  const members = new Map<string, Member>()
  let closed = false

  function failed(cause: unknown): void {
    counters.handlerErrors++
    onHandlerError(asError(cause))
  }

  function deliver(member: Member, notices: readonly Notice[]): void {
    try {
      counters.noticesDelivered += notices.length
      member.handler.onNotices(notices)
    } catch (error) {
      failed(error)
      try {
        member.handler.onGap() // the rest of the frame may be lost
      } catch (gapError) {
        failed(gapError)
      }
    }
  }

  function notify(node: string, notices: readonly Notice[]): void {
    const member = members.get(node)
    if (member === undefined) {
      counters.noticesDropped += notices.length
      return
    }
    if (notices.length === 0) return
    if (member.delivering) {
      member.waiting.push(notices)
      return
    }
    member.delivering = true
    deliver(member, notices)
    while (member.waiting.length > 0) {
      const frames = member.waiting
      member.waiting = []
      for (const frame of frames) {
        // the handler may have left, or the bus may have closed, while frames were waiting
        if (members.get(node) === member) deliver(member, frame)
        else counters.noticesDropped += frame.length
      }
    }
    member.delivering = false
  }

  async function kick(node: string, request: Kick, timeoutMs: number): Promise<boolean> {
    counters.kicks++
    const member = members.get(node)
    const confirmed = member !== undefined && (await confirm(member.handler, request, timeoutMs))
    if (!confirmed) counters.kicksUnconfirmed++
    return confirmed
  }

  function confirm(handler: BusHandler, request: Kick, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs)
      const settle = (result: boolean): void => {
        clearTimeout(timer)
        resolve(result)
      }
      const refuse = (error: unknown): void => {
        failed(error)
        settle(false)
      }
      try {
        handler.onKick(request).then(() => settle(true), refuse)
      } catch (error) {
        refuse(error)
      }
    })
  }

  return {
    async join(node, handler) {
      if (closed) throw new StoreUnavailable('the bus is closed')
      if (members.has(node)) throw new Error(`a live node is named "${node}" already; give every node its own name`)
      members.set(node, { handler, delivering: false, waiting: [] })
    },
    async leave(node) {
      members.delete(node)
    },
    notify,
    kick,
    async nodes() {
      return [...members.keys()]
    },
    async close() {
      closed = true
      members.clear()
    },
  }
}
