import type { LiveNodes } from '../../core/live-nodes.js'
import type { Clock } from '../../core/clock.js'
import type { Logger } from '../../core/log.js'
import type { Bus } from '../../core/ports/bus.js'
import type { Credentials } from '../../core/ports/credentials.js'
import type { Mailbox } from '../../core/ports/mailbox.js'
import type { Uplink } from '../../core/ports/uplink.js'
import type { Tracer } from '../../core/tracing/tracer.js'
import type { Keyring } from '../../core/security/api-keys.js'
import type { DeviceTokens } from '../../core/security/device-tokens.js'
import type { AnswerDeadlines } from '../answer-deadlines.js'
import type { ApiCounters } from '../counters.js'
import type { ApiLimits } from '../limits.js'
import type { AppendQueue } from '../overload.js'
import type { WebhookContext } from './webhooks.js'

/** What the service works with. Nothing here knows of HTTP. */
export interface ServiceContext {
  readonly mailbox: Mailbox
  readonly bus: Bus
  readonly nodes: Pick<LiveNodes, 'look'>
  readonly credentials: Credentials
  readonly uplink: Pick<Uplink, 'read'>
  readonly webhooks: WebhookContext
  readonly keyring: Pick<Keyring, 'forget'>
  /** Ends what ordinary pub/sub keeps of a device. Rejects with StoreUnavailable. */
  readonly forgetSession: (device: string) => Promise<void>
  /** Null: devices need no tokens (`--auth none`), and none are minted. */
  readonly tokens: DeviceTokens | null
  /** How long the deletion of a device is remembered: as long as what it came with may be shown again. */
  readonly revocationSeconds: number
  readonly clock: Clock
  readonly log: Logger
  readonly limits: ApiLimits
  readonly counters: ApiCounters
  /** Null: no traces are exported. */
  readonly tracer: Tracer | null
  readonly queue: AppendQueue
  /** When requests that wait for the store are answered all the same. */
  readonly deadlines: AnswerDeadlines
}
