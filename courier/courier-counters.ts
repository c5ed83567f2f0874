import { DELIVERY_SECONDS, Histogram } from '../core/metrics/histogram.js'
import type { CloseCode } from '../protocol/codes.js'
import type { GapReason } from '../protocol/frames/frame-types.js'
import { WaitingDevices } from './waiting-devices.js'

/** What a sweep can find. `close`: the claim is gone; the others as in the comments of `CourierMachine.swept`. */
export const SWEEP_FINDINGS = ['close', 'look', 'head', 'ack', 'resync'] as const
export type SweepFinding = (typeof SWEEP_FINDINGS)[number]

/** What the store made of the position in a hello; see ResumeResult. */
export type HelloFinding = 'none' | 'valid' | 'past' | 'unknown'

/** Whether the device could be sent something when the message was accepted. */
export type DeviceThen = 'connected' | 'away'

/** Plain numbers since the node's start, incremented in place; the metrics endpoint reads them. */
export class CourierCounters {
  /** Messages handed to a transport, redeliveries included. */
  sent = 0
  /** Those that an earlier connection may have seen (DUP). */
  redelivered = 0
  /** PUBACKs of messages in flight. */
  acked = 0
  /** PUBACKs of ids that are not in flight: ignored. */
  unknownAcks = 0
  /** Messages that went straight from a notice to the transport. */
  noticesTaken = 0
  /** Messages that a read or a sweep found before a notice of them had come; a late notice counts too. */
  noticesMissed = 0
  /** Messages that a sweep found, and of which no notice had come by the next one. */
  noticesLost = 0
  /** Pages read. */
  reads = 0
  readErrors = 0
  /** Ack batches stored. */
  flushes = 0
  flushErrors = 0
  /** Acks of an epoch that the log does not know: ignored by the store. */
  acksOfUnknownEpochs = 0
  /** Ack frames that name a log which is none of the device's: ignored. */
  acksOfUnknownLogs = 0
  /** Acks given up because the store refused them for too long after their connection had ended: repeats, no loss. */
  acksDropped = 0
  /** Connections closed by the server, by code. */
  readonly closesByCode: Record<CloseCode, number> = {
    taken_over: 0,
    resync: 0,
    revoked: 0,
    token_expired: 0,
    draining: 0,
    overload: 0,
    protocol_error: 0,
    slow_consumer: 0,
  }
  /** Connections that came to own their device. */
  claims = 0
  /** Reads and changes that the store refused because another claim is stored. */
  staleClaimsRefused = 0
  /** New connections that found the device claimed. */
  takeovers = 0
  /** Those that had to claim by force: the old owner did not answer (in time). */
  staleClaims = 0
  /** Releases given up: the claim stays until the device's next connection. */
  releasesFailed = 0
  /** Hellos of stream devices that were answered, by what the store made of the position in them. */
  readonly hellos: Record<HelloFinding, number> = { none: 0, valid: 0, past: 0, unknown: 0 }
  /** Gaps that stream devices were told of, by reason. */
  readonly gapsTold: Record<GapReason, number> = { overflow: 0, retention: 0, 'handled-elsewhere': 0 }
  /** Complete sweeps of the node. */
  sweeps = 0
  sweepErrors = 0
  readonly sweepFindings: Record<SweepFinding, number> = { close: 0, look: 0, head: 0, ack: 0, resync: 0 }
  /** How often a message had to wait because the window was full. */
  windowWaits = 0
  /** How often sending stopped because the transport's buffer was full. */
  socketWaits = 0
  pingErrors = 0
  /** How often the node stopped all sending because it could not confirm its claims in time (G7). */
  unconfirmedHolds = 0

  /** Seconds from the accepted push to the device's connection (the first time), and to the device's acknowledgement. */
  readonly acceptToSent: Record<DeviceThen, Histogram> = perDevice()
  readonly acceptToHandled: Record<DeviceThen, Histogram> = perDevice()
  /** What the last sweep saw of the connected devices. */
  readonly waiting = new WaitingDevices()
}

const perDevice = () => ({ connected: new Histogram(DELIVERY_SECONDS), away: new Histogram(DELIVERY_SECONDS) })
