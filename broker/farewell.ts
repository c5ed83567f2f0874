import { CLOSE_CODES, type CloseCode } from '../protocol/codes.js'
import type { CloseReason } from './counters.js'

const isCloseCode = (reason: CloseReason): reason is CloseCode => Object.hasOwn(CLOSE_CODES, reason)

/** What a device in stream mode is told when its connection is ended for this reason; null: it has gone itself. */
export function byeFor(reason: CloseReason): CloseCode | null {
  if (isCloseCode(reason)) return reason
  switch (reason) {
    case 'publish_denied':
      return 'protocol_error'
    case 'packet_timeout':
    case 'keepalive_timeout':
      return 'slow_consumer'
    case 'uplink_refused':
      return 'overload'
    case 'shutdown':
      return 'draining'
    case 'disconnect':
    case 'client':
    case 'refused':
    case 'connect_timeout':
    case 'too_many_sockets':
      return null
    default:
      return null
  }
}
