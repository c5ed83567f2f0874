// Where one connection stands in one log: what it was sent, and what it knows of the log's end. A courier has one for
// its inbox; each group log will be another.

import type { Position } from '../core/model/message.js'

/** News that no single answer settles, such as of two epochs: only another read can tell. No epoch has this name. */
const MIXED = '*'

export class LogPlace {
  /** The position: everything up to it was sent on this connection, or is never to be. */
  epoch = ''
  sent = 0
  /** The highest seq that a stream device was told of (welcome, gap, message): `prev` of what comes next. */
  told = 0
  /** The highest seq that the device itself has acknowledged, sent to it or not. */
  ownAcks = 0
  /** What is known of the end of the log; only a read's answer sets it as a fact, notices and sweeps give hints. */
  lastEpoch = ''
  head = 0
  /** The log may have changed in a way that only a read can tell. */
  look = false

  /** Notices that came while a read was under way: its answer may be older than they are. */
  newsEpoch = ''
  newsSeq = 0

  start(position: Position, head: number, lastEpoch: string): void {
    this.epoch = position.epoch
    this.sent = this.told = position.seq
    this.head = head
    this.lastEpoch = lastEpoch
  }

  /** A hint that the log has grown to [epoch, seq]. */
  remember(epoch: string, seq: number): void {
    if (epoch !== this.lastEpoch) this.look = true
    else if (seq > this.head) this.head = seq
  }

  /** The same while a read is under way: counts after its answer. */
  rememberNews(epoch: string, seq: number): void {
    if (this.newsEpoch === '' || this.newsEpoch === epoch) {
      this.newsEpoch = epoch
      if (seq > this.newsSeq) this.newsSeq = seq
    } else this.mixNews()
  }

  /** After the read that is under way, another one is needed. */
  mixNews(): void {
    this.newsEpoch = MIXED
  }

  /** Everything up to here is sent or never to be. */
  advance(epoch: string, seq: number): void {
    this.epoch = epoch
    this.sent = seq
  }

  /**
   * What the store answered: the truth of that moment, also when it is less than what was known. Hints that came meanwhile
   * are taken up again; each of them costs at most one more read.
   */
  learn(head: number, lastEpoch: string): void {
    this.look = false
    this.head = head
    this.lastEpoch = lastEpoch
    if (this.newsEpoch !== '') this.remember(this.newsEpoch, this.newsSeq)
    this.newsEpoch = ''
    this.newsSeq = 0
  }

  get hasMore(): boolean {
    return this.look || this.sent < this.head
  }
}
