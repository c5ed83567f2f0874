// What the SDK needs from where it runs. Node and browsers each have one of these; tests have their own.

/** Monotonic time: the SDK never looks at the wall clock, so setting it changes nothing. */
export interface Clock {
  /** Milliseconds from some fixed moment. Never runs backwards. */
  now(): number
  /** Calls `run` once, `ms` or more from now. Answers what cancels it. */
  after(ms: number, run: () => void): () => void
}

/** Uniform in [0, 1). */
export type Random = () => number

export interface ChannelHandlers {
  /** Bytes can be written from now on. */
  onOpen(): void
  /** The bytes are the receiver's from then on. */
  onData(bytes: Uint8Array): void
  /** The end, once, whatever its reason; nothing comes after it. Null: the other side ended it in good order. */
  onEnd(error: Error | null): void
}

/** One connection as a stream of bytes. No method throws. */
export interface Channel {
  write(bytes: Uint8Array): void
  /** Ends it after what was written has left. Resolves when it is over, or was waited for long enough; never rejects. */
  end(): Promise<void>
  /** Ends it now. `onEnd` is not called any more. */
  destroy(): void
}

/** Opens a connection. Failing to is an `onEnd`; throws only for a URL that `supports` refuses. */
export type OpenChannel = (url: URL, handlers: ChannelHandlers) => Channel

/** `online`, `visible`: look at once whether the connection still stands, or make one. `offline`: look whether it stands. */
export type NetworkEvent = 'online' | 'offline' | 'visible'

export interface Platform {
  readonly clock: Clock
  readonly random: Random
  readonly open: OpenChannel
  /** The URL schemes that `open` takes, with the colon. */
  readonly schemes: readonly string[]
  /** Tells changes of the network; answers what stops that. */
  watchNetwork(listener: (event: NetworkEvent) => void): () => void
}
