// Every error that an application can meet, in one table. `terminal`: the client has ended when it is told; all others are
// told as they happen, and the client goes on by itself.

export interface SdkErrorInfo {
  readonly terminal: boolean
  readonly title: string
}

/** `docs/sdk.md` lists the same rows; a test holds them together. */
export const SDK_ERRORS = {
  // The application's own.
  bad_option: { terminal: false, title: 'An option or argument is not of the documented form' },
  closed: { terminal: false, title: 'The client is closed' },
  handler_error: { terminal: false, title: 'The handler threw' },
  handler_failed: { terminal: true, title: 'The handler failed for a message too often, and the policy is stop' },
  parked_full: { terminal: true, title: 'A message should be parked, and no more may be' },
  storage_failed: { terminal: true, title: 'The storage could not read or write' },
  storage_in_use: { terminal: true, title: 'Another client uses the storage' },
  storage_unusable: {
    terminal: true,
    title: 'What is in the storage is damaged, of a newer version or of another device',
  },

  // Who one is.
  unauthorized: { terminal: true, title: 'The server does not take the token, and there is no newer one' },
  forbidden: { terminal: true, title: 'The token is not for this device' },
  invalid_device_id: { terminal: true, title: 'The server does not take the device id' },
  token_failed: { terminal: false, title: 'getToken failed, or took too long' },
  token_expired: { terminal: true, title: 'The token has expired, and there is no getToken' },
  revoked: { terminal: true, title: 'The device or its token was revoked' },
  taken_over: { terminal: true, title: 'Another connection of this device took its place' },

  // The server's side.
  unsupported_server: { terminal: true, title: 'The server does not speak this protocol' },
  protocol_error: { terminal: true, title: 'The server says that this client broke the protocol' },
  closed_by_server: { terminal: true, title: 'The server closed the connection for good' },
  stream_broken: { terminal: true, title: 'The server broke the protocol, and did so again after a reconnect' },
  malformed_frame: { terminal: false, title: 'The server sent something that is not a packet or frame' },
  sequence_broken: { terminal: false, title: 'The server left out what it should have told' },

  // The network between.
  connect_failed: { terminal: false, title: 'The connection could not be made' },
  connect_timeout: { terminal: false, title: 'The server did not answer in time' },
  connection_lost: { terminal: false, title: 'The connection ended' },
  ping_timeout: { terminal: false, title: 'Nothing was heard of the server after a ping' },
  ack_timeout: { terminal: false, title: 'The server did not acknowledge in time' },
  server_unavailable: { terminal: false, title: 'The server cannot take the connection now' },
  server_closed: { terminal: false, title: 'The server closed the connection and said when to come again' },

  // Uplink.
  uplink_full: { terminal: false, title: 'The uplink queue is full' },
  uplink_dropped: { terminal: false, title: 'The uplink was dropped from the full queue to make room' },
  uplink_refused: { terminal: false, title: 'The server ended the connection for good while it worked on this uplink' },
  payload_too_large: { terminal: false, title: 'The payload is over the limit' },
} as const satisfies Record<string, SdkErrorInfo>

export type SdkErrorCode = keyof typeof SDK_ERRORS

export interface SdkErrorOptions {
  readonly cause?: unknown
  /** The key of the message that it is about. */
  readonly key?: string
}

/** Holds no token and no payload. */
export class PostriderError extends Error {
  readonly code: SdkErrorCode
  /** Key of the message that it is about, if it is about one. */
  readonly key: string | null

  constructor(code: SdkErrorCode, message?: string, options: SdkErrorOptions = {}) {
    const text = message === undefined ? SDK_ERRORS[code].title : `${SDK_ERRORS[code].title}: ${message}`
    super(text, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'PostriderError'
    this.code = code
    this.key = options.key ?? null
  }

  /** True: the client has ended; a new one may be made once the cause is gone. */
  get terminal(): boolean {
    return SDK_ERRORS[this.code].terminal
  }
}

/** The text of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What a storage threw. */
export function asStorageError(error: unknown): PostriderError {
  return error instanceof PostriderError
    ? error
    : new PostriderError('storage_failed', messageOf(error), { cause: error })
}
