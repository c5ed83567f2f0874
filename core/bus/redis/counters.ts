import { LocalBusCounters } from '../local/local-bus.js'

/** Plain numbers, incremented in place. */
export class RedisBusCounters {
  /** Of the nodes of this process: what was handed to them, from here or from elsewhere. */
  readonly local = new LocalBusCounters()
  /** Notices that went to another process. */
  noticesSent = 0
  /** Notices that did not: Redis did not take them, nobody listened, or too much was on its way. */
  noticesDropped = 0
  /** Publications that failed. */
  packetsFailed = 0
  packetsReceived = 0
  /** Times that a number was missing. */
  gaps = 0
  /** Packets that came twice, or behind a later one. */
  packetsRepeated = 0
  /** Packets of a newer version of the program. */
  packetsNewer = 0
  packetsMalformed = 0
  /** Requests to another process to end a connection, and those that were not confirmed in time. */
  kicksSent = 0
  kicksUnconfirmed = 0
  /** Requests that were not carried out because too many were. */
  kicksRefused = 0
  /** Subscriber connections that ended, by their own or because nothing was heard. */
  subscriptionsLost = 0
  /** Those of them that were silent. */
  subscriptionsSilent = 0
  /** Signs of life of the node that could not be given. */
  beatsFailed = 0
}
