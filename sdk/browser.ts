// `@postrider/sdk` in browsers: pages and workers.

import { browserPlatform } from './browser/platform.js'
import { Client } from './device/client.js'
import { readOptions, type ConnectOptions } from './device/options.js'

export * from './exports.js'

/**
 * Connects a device, and keeps it connected until it is closed. Returns at once; `state` and the events tell what happens.
 * Throws PostriderError `bad_option`.
 */
export function connect(options: ConnectOptions): Client {
  const platform = browserPlatform()
  return new Client(readOptions(options, platform.schemes), platform)
}
