// Rules of stream mode broken on purpose, as in mutations.ts: first what earlier drafts said, then deliberate mistakes.

import type { ResumeResult } from '../../../core/ports/mailbox.js'
import type { CloseCode, ExceptionReason } from '../../../protocol/codes.js'
import { Hold } from '../../../courier/holds.js'
import type { Mutation } from './mutation.js'
import { SimMachine } from './sim-machine.js'

const stream = { mode: 'stream', notices: false } as const

class AlwaysTakenOver extends SimMachine {
  protected override lostClaim(): CloseCode {
    return 'taken_over'
  }
}
/** The draft's `prev`: exceptions look like a lost frame. */
class PrevIsSent extends SimMachine {
  protected override prev(): number {
    return this.place.sent
  }
}
class WelcomeNotAwaited extends SimMachine {
  protected override expectHello(): void {
    super.expectHello()
    this.holds &= ~Hold.noWelcome
  }
}
class GapsNotTold extends SimMachine {
  protected override isTold(_reason: ExceptionReason): _reason is 'overflow' | 'retention' {
    return false
  }
}
/** Says nothing of what lies between the hello and the cursor, and of no reset. */
class GreetsOnly extends SimMachine {
  protected override greet({ position, head }: Parameters<SimMachine['greet']>[0]): void {
    this.effects.sendWelcome(position, head)
  }
}
/** Begins where the device says, not where the store does. */
class BeginsAtHello extends SimMachine {
  override resumed(result: ResumeResult): void {
    const { brought } = this
    super.resumed(result.kind === 'resumed' && brought !== null ? { ...result, position: brought } : result)
  }
}
export const STREAM_MUTATIONS: readonly Mutation[] = [
  {
    name: 'stream: a lost claim always means taken over',
    rules: { machine: AlwaysTakenOver },
    scenario: { messages: 1, faults: { failover: 1 }, ...stream },
  },
  {
    name: 'stream: taken over is always final for the SDK',
    rules: { sdk: { takenOver: 'never' } },
    scenario: { messages: 1, faults: { cut: 1 }, ...stream, slowClaims: true },
  },
  {
    name: 'stream: the SDK keeps one record',
    rules: { sdk: { record: 'single' } },
    scenario: { messages: 2, faults: { failover: 2 }, ...stream, historyLength: 2 },
  },
  {
    name: 'stream: the SDK record does not survive the process',
    rules: { sdk: { record: 'volatile' } },
    scenario: { messages: 1, faults: { deviceCrash: 1 }, ...stream },
  },
  {
    name: 'stream: the SDK acks on receipt',
    rules: { sdk: { acks: 'on-receipt' } },
    scenario: { messages: 1, faults: {}, ...stream },
  },
  {
    name: 'stream: the welcome moves the position, and its gaps are lost',
    rules: { sdk: { position: 'welcome' } },
    scenario: { messages: 2, faults: { cut: 1 }, ...stream, cap: 1 },
  },
  {
    name: 'stream: a hello past the end sets the cursor back',
    rules: { inbox: { helloPast: 'set' } },
    scenario: { messages: 2, faults: { failover: 1, cut: 1, otherClient: 1 }, ...stream, window: 1, historyLength: 2 },
  },
  {
    name: 'stream: a hello past the end is believed',
    rules: { inbox: { helloPast: 'trust' } },
    scenario: { messages: 2, faults: { failover: 1, cut: 1 }, ...stream },
  },
  {
    name: 'stream: a hello with an unknown epoch is believed',
    rules: { inbox: { helloUnknown: 'trust' } },
    scenario: { messages: 2, faults: { purge: 1, cut: 1 }, ...stream },
  },
  {
    name: 'stream: prev is the last seq sent or passed',
    rules: { machine: PrevIsSent },
    scenario: { messages: 2, faults: { except: 1 }, ...stream },
  },
  {
    name: 'stream: all between hello and cursor counts as handled elsewhere',
    rules: { inbox: { helloGaps: 'sdk' } },
    scenario: { messages: 2, faults: { except: 1 }, ...stream },
  },
  {
    name: 'stream: delivery does not wait for the hello',
    rules: { machine: WelcomeNotAwaited },
    scenario: { messages: 1, faults: {}, ...stream },
  },
  {
    name: 'stream: gaps among the messages are not told',
    rules: { machine: GapsNotTold },
    scenario: { messages: 3, faults: {}, ...stream, cap: 2 },
  },
  {
    name: 'stream: gaps after the welcome are not told',
    rules: { machine: GreetsOnly },
    scenario: { messages: 2, faults: {}, ...stream, cap: 1 },
  },
  {
    name: 'stream: delivery begins where the device says',
    rules: { machine: BeginsAtHello },
    scenario: { messages: 1, faults: { failover: 1, cut: 1 }, ...stream, connectionLimit: 4 },
  },
]
