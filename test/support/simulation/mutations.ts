// Rules broken on purpose, one at a time, each with a small world in which the simulation must notice. The machine's rules are
// its protected methods, so a mistake is a subclass; the store's rules are data.

import type { Claim, HeadResult } from '../../../core/ports/mailbox.js'
import type { CloseCode } from '../../../protocol/codes.js'
import type { SweepFinding } from '../../../courier/courier-counters.js'
import { SimMachine } from './sim-machine.js'
import { STREAM_MUTATIONS } from './stream-mutations.js'
import { Violation } from './violation.js'
import type { Mutation } from './mutation.js'
import { FINAL_RULES } from './world.js'
import type { WorldRules } from './world-data.js'

const quiet = { notices: false } as const

class AnyClaim extends SimMachine {
  protected override isMine(): boolean {
    return true
  }
}
class AnyNoticeClaim extends SimMachine {
  override notice(epoch: string, _claimId: string, message: Parameters<SimMachine['notice']>[2]): void {
    super.notice(epoch, this.claimId, message)
  }
}
class AnyEpoch extends SimMachine {
  protected override followsEpoch(): boolean {
    return true
  }
}
class AnyHigherSeq extends SimMachine {
  protected override followsSeq(seq: number): boolean {
    return seq > this.place.sent
  }
}
class NoticeDuringPage extends SimMachine {
  protected override isLive(): boolean {
    return this.phase === 'open' && this.holds === 0
  }
  protected override followsSeq(seq: number): boolean {
    return seq > this.place.sent
  }
}
class LowWaterJumps extends SimMachine {
  override acked(packetId: number): boolean {
    const { firstId, seqs, epochs } = this.window.snapshot()
    const at = packetId - firstId
    const known = super.acked(packetId)
    const [seq, epoch] = [seqs[at], epochs[at]]
    if (known && seq !== undefined && epoch !== undefined) {
      this.acks.acked(epoch, seq, 1)
      this.flushWanted = 'now'
    }
    return known
  }
}
/** Contiguous by seq, not by what was sent: exceptions leave gaps that nothing closes. */
class LowWaterBySeq extends SimMachine {
  protected override lowWater(left: number): void {
    const before = this.acks.ackedSeq
    if (this.window.leftSeq === before + left) super.lowWater(left)
  }
}
class WindowBySeq extends SimMachine {
  protected override hasRoom(): boolean {
    return this.place.sent - this.acks.ackedSeq < this.context.limits.window
  }
}
class NoWindow extends SimMachine {
  protected override hasRoom(): boolean {
    return true
  }
}
class StuckIgnored extends SimMachine {
  protected override sweepFinding(seen: HeadResult): SweepFinding | null {
    const found = super.sweepFinding(seen)
    return found === 'resync' ? null : found
  }
}
class AckNotRepeatedStuckIgnored extends StuckIgnored {
  protected override sweepFinding(seen: HeadResult): SweepFinding | null {
    return super.sweepFinding({ ...seen, ackedSeq: null })
  }
}
/** The draft's courier: it never doubts its place in the log. */
class PlaceNotChecked extends SimMachine {
  protected override sweepFinding(seen: HeadResult): SweepFinding | null {
    return super.sweepFinding({ ...seen, lastEpoch: this.place.lastEpoch, head: Math.max(seen.head, this.sweptSent) })
  }
}
class PlaceNotCheckedStuckIgnored extends PlaceNotChecked {
  protected override sweepFinding(seen: HeadResult): SweepFinding | null {
    const found = super.sweepFinding(seen)
    return found === 'resync' ? null : found
  }
}
class AlwaysTakenOver extends SimMachine {
  protected override lostClaim(_stored: Claim | null, _generation: string): CloseCode {
    return 'taken_over'
  }
}
class TakenOverWithoutSuccessor extends SimMachine {
  protected override lostClaim(_stored: Claim | null, generation: string): CloseCode {
    return generation === this.generation ? 'taken_over' : 'resync'
  }
}
class SweepOff extends SimMachine {
  override swept(): SweepFinding | null {
    return null
  }
}
/** Closes what pended at the question, though it has been sent and handled before the answer. */
class SweepOverEager extends SimMachine {
  protected override sweepFinding(seen: HeadResult): SweepFinding | null {
    const found = super.sweepFinding(seen)
    if (found === null && this.isIdle() && this.holds === 0 && seen.pending > 0) {
      throw new Violation('I8', 'a healthy courier would be closed to resync')
    }
    return found
  }
}
class NewsForgotten extends SweepOff {
  override readDone(result: Parameters<SimMachine['readDone']>[0]): void {
    this.place.newsEpoch = ''
    this.place.newsSeq = 0
    super.readDone(result)
  }
}
export const MUTATIONS: readonly Mutation[] = [
  // The model's findings: rules of earlier drafts.
  {
    name: 'a lost claim always means taken over',
    rules: { machine: AlwaysTakenOver },
    scenario: { messages: 1, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'reads do not check the position',
    rules: { machine: PlaceNotCheckedStuckIgnored, inbox: { readChecksPosition: false } },
    also: StuckIgnored,
    scenario: { messages: 2, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'reads do not check the position, in a longer log',
    rules: { machine: PlaceNotChecked, inbox: { readChecksPosition: false } },
    scenario: { messages: 3, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'acks count in the last epoch only',
    rules: { inbox: { ack: 'last-epoch' } },
    scenario: { messages: 1, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'acks are not clamped to their stretch',
    rules: { inbox: { ack: 'in-list' } },
    scenario: { messages: 1, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'acks count in the last epoch only, clamped',
    rules: { machine: StuckIgnored, inbox: { ack: 'last-epoch-clamped' } },
    also: StuckIgnored,
    scenario: { messages: 2, faults: { failover: 1, except: 1 }, ...quiet, historyLength: 0 },
  },
  {
    name: 'a lost flush is not repeated',
    rules: { machine: AckNotRepeatedStuckIgnored },
    scenario: { messages: 1, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'a stuck courier is not closed: cut',
    rules: { machine: StuckIgnored },
    scenario: { messages: 1, faults: { failover: 1, cut: 1 }, ...quiet },
  },
  {
    name: 'a stuck courier is not closed: exception',
    rules: { machine: StuckIgnored },
    scenario: { messages: 1, faults: { failover: 1, except: 1 }, ...quiet },
  },
  {
    name: 'a generation is used again',
    rules: { generation: 'reused' },
    scenario: { messages: 2, faults: { failover: 2 }, ...quiet },
  },
  {
    name: 'epochs are cut off while a message needs them',
    rules: { inbox: { epochCut: 'last' } },
    scenario: { messages: 2, faults: { failover: 1 }, ...quiet, epochsKept: 1, historyLength: 0 },
  },
  {
    name: 'packet ids begin at a stored place',
    rules: { packetIds: 'stored' },
    scenario: { messages: 2, faults: { failover: 1, cut: 1, stalePuback: 1 }, ...quiet },
  },
  {
    name: 'the low-water mark is contiguous by seq',
    rules: { machine: LowWaterBySeq },
    scenario: { messages: 2, faults: { except: 1 }, ...quiet },
  },
  // The model's mutations.
  {
    name: 'acks of any epoch count',
    rules: { inbox: { ack: 'any' } },
    scenario: { messages: 2, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'the low-water mark jumps',
    rules: { machine: LowWaterJumps },
    scenario: { messages: 2, faults: {}, ...quiet, unorderedPubacks: true },
  },
  {
    name: "a notice's claim is not compared",
    rules: { machine: AnyNoticeClaim },
    scenario: { messages: 1, faults: { cut: 1 } },
  },
  { name: "a notice's seq need not follow", rules: { machine: AnyHigherSeq }, scenario: { messages: 2, faults: {} } },
  {
    name: "a notice's epoch is not compared",
    rules: { machine: AnyEpoch },
    scenario: { messages: 3, faults: { failover: 1 } },
  },
  {
    name: 'an old claim may read',
    rules: { inbox: { readChecksClaim: false } },
    scenario: { messages: 2, faults: { twin: 1 }, ...quiet },
  },
  {
    name: 'a kick names the device only',
    rules: { kickNamesClaim: false },
    scenario: { messages: 1, faults: { cut: 2 }, ...quiet, kicks: true },
  },
  {
    name: 'a kick of any claim is obeyed',
    rules: { machine: AnyClaim },
    scenario: { messages: 1, faults: { cut: 2 }, ...quiet, kicks: true },
  },
  {
    name: 'exceptions do not move the cursor',
    rules: { machine: StuckIgnored, inbox: { exceptionsMoveCursor: false } },
    also: StuckIgnored,
    scenario: { messages: 1, faults: { except: 1 }, ...quiet },
  },
  {
    name: 'the window is sent - acked',
    rules: { machine: WindowBySeq },
    scenario: { messages: 3, faults: { except: 2 }, ...quiet },
  },
  { name: 'there is no window', rules: { machine: NoWindow }, scenario: { messages: 3, faults: {}, ...quiet } },
  {
    name: 'there is no dedup',
    rules: { inbox: { dedup: 'none' } },
    scenario: { messages: 1, faults: { unknownOutcome: 1 }, ...quiet },
  },
  {
    name: 'dedup forgets handled messages',
    rules: { inbox: { dedup: 'forgets-handled' } },
    scenario: { messages: 1, faults: { retry: 1 }, ...quiet },
  },
  {
    name: 'no new epoch after a failover',
    rules: { inbox: { newEpochAfterFailover: false } },
    scenario: { messages: 2, faults: { failover: 1 }, ...quiet },
  },
  {
    name: 'a purged log begins again in its old epoch',
    rules: { purge: 'same-epoch' },
    scenario: { messages: 2, faults: { purge: 1 }, ...quiet },
  },
  {
    name: 'packet ids begin at the same place on every connection',
    rules: { packetIds: 'restart' },
    scenario: { messages: 3, faults: { cut: 1, stalePuback: 1 }, ...quiet },
  },
  {
    name: 'a node decides that a message has expired',
    rules: {},
    scenario: { messages: 3, faults: { nodeExpiry: 1 }, ...quiet, window: 1, pageSize: 3 },
  },
  // Ours.
  {
    name: 'what was heard of during a read is forgotten',
    rules: { machine: NewsForgotten },
    also: SweepOff,
    scenario: { messages: 2, faults: {}, slowStore: true, lossless: true },
  },
  {
    name: 'a sweep believes in what pended at its question',
    rules: { machine: SweepOverEager },
    scenario: { messages: 1, faults: { idleSweep: 1 }, slowStore: true },
  },

  {
    name: 'a notice overtakes a page',
    rules: { machine: NoticeDuringPage },
    scenario: { messages: 2, faults: {}, slowStore: true },
  },
  {
    name: 'a lost claim means taken over though nobody claimed',
    rules: { machine: TakenOverWithoutSuccessor },
    scenario: { messages: 1, faults: { purge: 1 }, ...quiet },
  },
  {
    name: 'lost notices are not swept up',
    rules: { machine: SweepOff },
    scenario: { messages: 1, faults: {}, ...quiet },
  },
  ...STREAM_MUTATIONS,
]

/** The rules with which the world of a mutation must be sound: all final ones, but for what is broken beside it. */
export const soundRules = (mutation: Mutation): WorldRules => ({
  ...FINAL_RULES,
  machine: mutation.also ?? SimMachine,
})
