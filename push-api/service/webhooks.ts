// Webhooks as backends set them.

import { isIP } from 'node:net'
import { PostriderError } from '../../core/errors.js'
import type { EventType } from '../../core/model/event.js'
import type { ReachableAddresses } from '../../core/net/public-address.js'
import type { EventLog } from '../../core/ports/event-log.js'
import type { Uplink } from '../../core/ports/uplink.js'
import type { KeptSecret, Webhook, WebhookStore } from '../../core/ports/webhook-store.js'
import type { SecretBox } from '../../core/security/secret-box.js'
import {
  generateWebhookSecret,
  parseWebhookSecret,
  WEBHOOK_SECRET_RULE,
} from '../../core/security/webhook-signature.js'
import { logsOf } from '../webhooks/webhook-session.js'
import type { ServiceContext } from './context.js'
import { rfc3339, rfc3339OrNull } from './shapes.js'

/** What the calls on webhooks need. */
export interface WebhookContext {
  readonly store: WebhookStore
  readonly events: Pick<EventLog, 'end'>
  readonly uplink: Pick<Uplink, 'end'>
  readonly box: SecretBox
  readonly reachable: ReachableAddresses
  readonly allowHttp: boolean
  readonly webhooksMax: number
  /** A webhook of this node's store has changed. */
  readonly onChange: () => void
}

export interface WebhookRequest {
  readonly url: string
  readonly events: readonly EventType[]
  readonly enabled?: boolean
  readonly secret?: string
  readonly rotateSecret?: boolean
  readonly previousSecretTtl?: number
}

export interface WebhookView {
  readonly id: string
  readonly url: string
  readonly events: readonly EventType[]
  readonly enabled: boolean
  readonly createdAt: string
  readonly updatedAt: string
  readonly previousSecretUntil: string | null
}

export const DEFAULT_PREVIOUS_SECRET_TTL = 86_400
/** Two changes at a time are tried so often. */
const TRIES = 5

const viewOf = ({ id, url, events, enabled, createdAt, updatedAt, secrets }: Webhook, now: number): WebhookView => ({
  id,
  url,
  events,
  enabled,
  createdAt: rfc3339(createdAt),
  updatedAt: rfc3339(updatedAt),
  previousSecretUntil: rfc3339OrNull(
    secrets.slice(1).find(({ until }) => until !== null && until > now)?.until ?? null,
  ),
})

const notFound = (): PostriderError => new PostriderError('not_found', 'no such webhook')

export async function listWebhooks({ webhooks: { store }, clock }: ServiceContext) {
  const now = clock.now()
  return { webhooks: (await store.list()).map((webhook) => viewOf(webhook, now)) }
}

export async function getWebhook({ webhooks: { store }, clock }: ServiceContext, id: string): Promise<WebhookView> {
  const webhook = await store.get(id)
  if (webhook === null) throw notFound()
  return viewOf(webhook, clock.now())
}

export async function deleteWebhook({ webhooks: { store, onChange } }: ServiceContext, id: string): Promise<void> {
  if (!(await store.remove(id))) throw notFound()
  onChange()
}

/** `secret` is told when this call made one, and never again. */
export async function putWebhook(
  context: ServiceContext,
  id: string,
  request: WebhookRequest,
): Promise<{ readonly created: boolean; readonly view: WebhookView & { readonly secret?: string } }> {
  const { webhooks: hooks, clock } = context
  checkUrl(request.url, hooks)
  if (request.secret !== undefined && request.rotateSecret === true) {
    throw new PostriderError('bad_request', 'only one of secret and rotateSecret is allowed')
  }
  if (request.secret !== undefined && parseWebhookSecret(request.secret) === null) {
    throw new PostriderError('bad_request', `secret: ${WEBHOOK_SECRET_RULE} are expected`)
  }
  for (let tries = 1; ; tries++) {
    const was = await hooks.store.get(id)
    if (was === null && (await hooks.store.list()).length >= hooks.webhooksMax) {
      throw new PostriderError('bad_request', `at most ${hooks.webhooksMax} webhooks are allowed`)
    }
    const now = clock.now()
    const made = was === null || request.rotateSecret === true ? generateWebhookSecret() : null
    const text = request.secret ?? made
    const webhook: Webhook = {
      id,
      url: request.url,
      events: request.events,
      enabled: request.enabled ?? true,
      secrets: secretsOf(id, was, text, request.previousSecretTtl ?? DEFAULT_PREVIOUS_SECRET_TTL, now, hooks.box),
      createdAt: was?.createdAt ?? now,
      // Also the version by which senders see that something changed.
      updatedAt: Math.max(now, (was?.updatedAt ?? 0) + 1),
    }
    if (await hooks.store.put(webhook, was, await beginnings(webhook, was, hooks))) {
      hooks.onChange()
      const view = viewOf(webhook, now)
      return {
        created: was === null,
        view: request.secret === undefined && made !== null ? { ...view, secret: made } : view,
      }
    }
    if (tries === TRIES)
      throw new PostriderError('overloaded', 'the webhook is being changed by others; nothing was stored')
  }
}

/** A new secret goes in front; the one before it signs beside it for a while. */
function secretsOf(
  id: string,
  was: Webhook | null,
  text: string | null,
  previousTtl: number,
  now: number,
  box: SecretBox,
): readonly KeptSecret[] {
  const kept = (was?.secrets ?? []).filter(({ until }) => until === null || until > now)
  const [newest] = kept
  if (text === null || (newest !== undefined && box.open(newest, id) === text)) {
    // With a time of 0 the present one alone stays.
    return previousTtl === 0 ? kept.slice(0, 1) : kept
  }
  const fresh: KeptSecret = { ...box.seal(text, id), until: null }
  if (newest === undefined || previousTtl === 0) return [fresh]
  return [fresh, { ...newest, until: now + previousTtl * 1000 }]
}

/** Logs that the webhook did not ask about before are read from here on. */
async function beginnings(
  webhook: Webhook,
  was: Webhook | null,
  { events, uplink }: WebhookContext,
): Promise<ReadonlyMap<string, string>> {
  const before: readonly string[] = was === null ? [] : logsOf(was)
  const cursors = new Map<string, string>()
  for (const log of logsOf(webhook)) {
    if (before.includes(log)) continue
    const end = await (log === 'events' ? events : uplink).end()
    if (end !== null) cursors.set(log, end)
  }
  return cursors
}

function checkUrl(text: string, { reachable, allowHttp }: WebhookContext): void {
  const refuse = (why: string): never => {
    throw new PostriderError('bad_request', `url: ${why}`)
  }
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return refuse('an absolute URL is expected')
  }
  if (url.protocol === 'http:' && !allowHttp) return refuse('https is expected; plain http needs --webhook-http')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refuse('an https URL is expected')
  if (url.username !== '' || url.password !== '') return refuse('a user or password in it is not allowed')
  if (url.hash !== '') return refuse('a fragment is not allowed')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && !reachable.has(host)) {
    return refuse('the address is not a public one; private networks are allowed with --webhook-networks')
  }
  return undefined
}
