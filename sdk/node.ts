// `@postrider/sdk` in Node.

import { Client } from './device/client.js'
import { readOptions, type ConnectOptions as DeviceOptions } from './device/options.js'
import { nodePlatform } from './node/platform.js'
import { readTls } from './node/read-tls.js'
import type { TlsOptions } from './node/tls-options.js'

export * from './exports.js'
export type { Pem, TlsOptions } from './node/tls-options.js'

export interface ConnectOptions extends DeviceOptions {
  /** For `mqtts://` and `wss://`: what `tls.connect` takes. Node only. */
  readonly tls?: TlsOptions
}

/**
 * Connects a device, and keeps it connected until it is closed. Returns at once; `state` and the events tell what happens.
 * Throws PostriderError `bad_option`.
 */
export function connect(options: ConnectOptions): Client {
  const { tls, ...rest }: ConnectOptions = { ...options }
  const platform = nodePlatform(readTls(tls))
  return new Client(readOptions(rest, platform.schemes), platform)
}
