// Why a courier sends nothing. Several causes can hold at once, so it is a set: each bit is taken and given back by its own
// cause, and the courier sends only while the set is empty.

export const Hold = {
  /** No mailbox subscription: never begun, or paused by UNSUBSCRIBE. */
  notSubscribed: 1,
  /** The transport's buffer is at its limit. */
  socketFull: 2,
  /** The node could not confirm its claims in time (G7): somebody else may own the device. */
  claimsUnconfirmed: 4,
  /** A stream device has not said where it wants to go on, or the store has not answered yet: nothing precedes welcome. */
  noWelcome: 8,
  /** The node drains, and this connection's turn has come: what is in flight may be acknowledged, nothing more is sent. */
  leaving: 16,
} as const

export type Hold = (typeof Hold)[keyof typeof Hold]
