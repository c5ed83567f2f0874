// A push API over the real embedded store and the real bus, spoken to over real HTTP.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createLocalBus } from '../../../core/bus/local/local-bus.js'
import { systemClock } from '../../../core/clock.js'
import { createLogger } from '../../../core/log.js'
import type { Bus, Kick, Notice } from '../../../core/ports/bus.js'
import type { Credentials, Scope } from '../../../core/ports/credentials.js'
import { DEFAULT_MAILBOX_LIMITS, type Mailbox, type MailboxLimits } from '../../../core/ports/mailbox.js'
import type { Uplink } from '../../../core/ports/uplink.js'
import { createApiKey, createKeyring } from '../../../core/security/api-keys.js'
import { createDeviceTokens, type DeviceTokens } from '../../../core/security/device-tokens.js'
import { openLmdbStore } from '../../../core/stores/lmdb/open.js'
import type { AllowedOrigins } from '../../../core/net/origins.js'
import { trustedProxies } from '../../../core/net/trusted-proxies.js'
import type { Certificates } from '../../../core/tls/certificates.js'
import { ApiCounters } from '../../../push-api/counters.js'
import { SecretBox } from '../../../core/security/secret-box.js'
import { reachableAddresses } from '../../../core/net/public-address.js'
import type { WebhookContext } from '../../../push-api/service/webhooks.js'
import { createPushApi, type PushApi } from '../../../push-api/create-push-api.js'
import type { ApiLimits } from '../../../push-api/limits.js'

export const ADMIN_KEY = 'operator-key-of-the-tests-0123456789abcdef'
export const TOKEN_MAX_TTL = 30 * 24 * 3600

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The text as JSON; undefined when it is none. */
  readonly body: unknown
}

export interface CallOptions {
  readonly key?: string | null
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it is, as JSON unless `type` says otherwise. */
  readonly raw?: string | Uint8Array
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface TestApi {
  readonly url: string
  readonly port: number
  /** The port with TLS; 0: off. */
  readonly https: number
  readonly api: PushApi
  readonly mailbox: Mailbox
  readonly credentials: Credentials
  readonly uplink: Uplink
  readonly webhooks: WebhookContext
  readonly tokens: DeviceTokens
  readonly bus: Bus
  readonly counters: ApiCounters
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** A key with these scopes. */
  key(...scopes: Scope[]): Promise<string>
}

export interface TestApiOptions {
  readonly limits?: Partial<ApiLimits>
  readonly mailboxLimits?: Partial<MailboxLimits>
  /** Puts something between the API and the real mailbox. */
  readonly wrap?: (mailbox: Mailbox) => Mailbox
  readonly withoutTokens?: boolean
  /** The certificate of the listener with TLS, which is on with it. */
  readonly certificates?: Certificates
  readonly origins?: AllowedOrigins
  readonly trustedProxies?: readonly string[]
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export async function startApi(t: Test, options: TestApiOptions = {}): Promise<TestApi> {
  const path = await mkdtemp(join(tmpdir(), 'postrider-api-'))
  const log = createLogger({ level: 'silent' })
  const store = await openLmdbStore({
    path,
    durability: 'process',
    limits: { ...DEFAULT_MAILBOX_LIMITS, ...options.mailboxLimits },
    log,
  })
  const { credentials, uplink } = store
  const mailbox = options.wrap?.(store.mailbox) ?? store.mailbox
  const webhooks: WebhookContext = {
    store: store.webhooks,
    events: store.events,
    uplink,
    box: new SecretBox([Buffer.alloc(32, 's')]),
    reachable: reachableAddresses(trustedProxies([])),
    allowHttp: false,
    webhooksMax: 3,
    onChange: () => undefined,
  }
  const bus = createLocalBus()
  const tokens = createDeviceTokens({
    secrets: [Buffer.alloc(32, 's')],
    maxTtlSeconds: TOKEN_MAX_TTL,
    clock: systemClock,
  })
  const counters = new ApiCounters()
  const api = createPushApi({
    host: '127.0.0.1',
    port: 0,
    mailbox,
    bus,
    credentials,
    uplink,
    webhooks,
    keyring: createKeyring({ credentials, operatorKeys: [ADMIN_KEY] }),
    tokens: options.withoutTokens === true ? null : tokens,
    log,
    counters,
    limits: { stopTimeoutMs: 500, ...options.limits },
    https: options.certificates === undefined ? null : { port: 0, certificates: options.certificates },
    origins: options.origins ?? null,
    trustedProxies: trustedProxies(options.trustedProxies ?? []),
    version: '1.2.3',
  })
  const { http: port = 0, https = 0 } = await api.start()
  t.teardown(async () => {
    await api.stop()
    await bus.close()
    await store.close()
    await rm(path, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${port}`

  async function call(method: string, target: string, request: CallOptions = {}): Promise<Answer> {
    const { key: bearer = ADMIN_KEY, json, raw, type = 'application/json' } = request
    const body = raw ?? (json === undefined ? undefined : JSON.stringify(json))
    const headers: Record<string, string> = { ...request.headers }
    if (bearer !== null) headers.authorization = `Bearer ${bearer}`
    if (body !== undefined && type !== '') headers['content-type'] = type
    const response = await fetch(url + target, { method, headers, ...(body === undefined ? {} : { body }) })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: jsonOf(text) }
  }

  async function key(...scopes: Scope[]): Promise<string> {
    const made = createApiKey('of a test', scopes, systemClock)
    await credentials.addKey(made.record)
    return made.key
  }

  return { url, port, https, api, mailbox, credentials, uplink, webhooks, tokens, bus, counters, call, key }
}

/** Asserts that an answer is the problem document of `code`, whole. */
export function isProblem(t: Test, answer: Answer, status: number, code: string, detail?: RegExp | string): void {
  t.equal(answer.status, status, `${code}: status (${answer.text.slice(0, 200)})`)
  t.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/, `${code}: media type`)
  t.match(
    answer.body,
    { type: `urn:postrider:error:${code}`, title: String, status, code, detail: detail ?? String },
    `${code}: the document`,
  )
}

/** Something inside a JSON answer; undefined when it is not there. */
export function at(value: unknown, ...path: ReadonlyArray<string | number>): unknown {
  let found = value
  for (const step of path) {
    if (typeof found !== 'object' || found === null) return undefined
    found = Object.getOwnPropertyDescriptor(found, step)?.value
  }
  return found
}

/** A node on the bus that remembers what reaches it. */
export async function listen(
  bus: Bus,
  node: string,
): Promise<{ readonly frames: Array<readonly Notice[]>; readonly kicks: Kick[] }> {
  const frames: Array<readonly Notice[]> = []
  const kicks: Kick[] = []
  await bus.join(node, {
    onNotices: (notices) => void frames.push(notices),
    onKick: async (kick) => void kicks.push(kick),
    onGap: () => {},
  })
  return { frames, kicks }
}
