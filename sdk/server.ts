// `@postrider/sdk/server`: for backends.

import { readPushOptions, type PushClientOptions } from './server/options.js'
import { PushClient } from './server/push-client.js'

export type { PushClientOptions } from './server/options.js'
export type { CallOptions, PageOptions, PushClient, UplinkOptions } from './server/push-client.js'
export { PushError, type LocalCode } from './server/push-error.js'
export type { PushItem, PushOptions } from './server/push-item.js'
export type { PushOutcome, PushResult } from './server/push-result.js'
export type {
  CancelledView,
  DeviceView,
  MessageStateView,
  Page,
  PendingView,
  TokenView,
  UplinkView,
} from './server/views.js'

/** Nothing is connected until something is asked for. Throws PushError `bad_option`. */
export function createPushClient(options: PushClientOptions): PushClient {
  return new PushClient(readPushOptions(options))
}
