import { createServer, type RequestListener, type Server } from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'
import { LiveNodes } from '../core/live-nodes.js'
import { systemClock, type Clock } from '../core/clock.js'
import { PostriderError, StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'
import { addressKey } from '../core/limits/address-key.js'
import { RateTable } from '../core/limits/rate-table.js'
import { SocketBudget } from '../core/limits/socket-budget.js'
import type { Logger } from '../core/log.js'
import { canonicalAddress } from '../core/net/address.js'
import { BACKLOG } from '../core/net/listen.js'
import { clientAddress, NO_PROXIES, type TrustedProxies } from '../core/net/trusted-proxies.js'
import type { Bus } from '../core/ports/bus.js'
import type { Credentials } from '../core/ports/credentials.js'
import type { Mailbox } from '../core/ports/mailbox.js'
import type { Uplink } from '../core/ports/uplink.js'
import type { Keyring } from '../core/security/api-keys.js'
import type { DeviceTokens } from '../core/security/device-tokens.js'
import type { AllowedOrigins } from '../core/net/origins.js'
import type { Certificates } from '../core/tls/certificates.js'
import type { Tracer } from '../core/tracing/tracer.js'
import { AnswerDeadlines } from './answer-deadlines.js'
import { createAuthenticator } from './auth.js'
import { ApiCounters } from './counters.js'
import { registerCors } from './cors.js'
import { countAnswers, HttpCounters } from './http-counters.js'
import { HttpDoor } from './http-door.js'
import { createHttpsListener, type HttpsListener } from './https-listener.js'
import { DEFAULT_API_LIMITS, httpServerOptions, type ApiLimits } from './limits.js'
import { AppendQueue } from './overload.js'
import { parseJson, readText, ReceivingBudget } from './request-body.js'
import { answerWithRequestId, requestIds } from './request-id.js'
import type { RouteContext } from './routes/context.js'
import { deviceRoutes } from './routes/devices.js'
import { devPageRoutes, type DevPage } from './routes/dev-page.js'
import { answerClientErrors, registerErrorHandlers, replyUnmatched } from './routes/errors.js'
import { inboxRoutes } from './routes/inbox.js'
import { keyRoutes } from './routes/keys.js'
import { messageRoutes } from './routes/messages.js'
import { notBuiltRoutes } from './routes/not-built.js'
import { openapiRoute, registerOpenapi } from './routes/openapi.js'
import { uplinkRoutes } from './routes/uplink.js'
import { webhookRoutes } from './routes/webhooks.js'
import { DEFAULT_TOKEN_SECONDS } from './service/devices.js'
import type { WebhookContext } from './service/webhooks.js'

export interface PushApiOptions {
  readonly host: string
  /** Null: off. 0: any free port. */
  readonly port: number | null
  /** The REST API over TLS; null: off. */
  readonly https?: { readonly port: number; readonly certificates: Certificates } | null
  readonly mailbox: Mailbox
  readonly bus: Bus
  readonly credentials: Credentials
  readonly uplink: Pick<Uplink, 'read'>
  readonly webhooks: WebhookContext
  readonly keyring: Keyring
  /** Ends what ordinary pub/sub keeps of a device that is deleted. Default: nothing is kept. */
  readonly forgetSession?: (device: string) => Promise<void>
  /** Null: devices need no tokens, and none are minted. */
  readonly tokens: DeviceTokens | null
  readonly log: Logger
  readonly counters?: ApiCounters
  /** Answers by route. Default: not counted. */
  readonly http?: HttpCounters | null
  /** Makes spans of pushes that are traced. Default null: none. */
  readonly tracer?: Tracer | null
  readonly limits?: Partial<ApiLimits>
  readonly clock?: Clock
  /** Whose X-Forwarded-For is believed; default: nobody's. */
  readonly trustedProxies?: TrustedProxies
  /** Web pages that get CORS headers; null: none. */
  readonly origins?: AllowedOrigins | null
  /** Devices may show certificates, which live longer than tokens: a device's deletion is never forgotten. */
  readonly clientCertificates?: boolean
  /** Shared with the other listeners of the process. Default: no limit. */
  readonly sockets?: SocketBudget
  /** A page to try a device in a browser, under `/dev/`. Default: none. */
  readonly devPage?: DevPage | null
  /** Version of the product, for the OpenAPI document. */
  readonly version?: string
}

export interface PushApi {
  /** Resolves when requests are served. StartupError: the address cannot be listened on. */
  start(): Promise<{ readonly http?: number; readonly https?: number }>
  /** The node will stop: every answer says `Connection: close` from now on. */
  leave(): void
  /** Takes no new connections, answers what is under way, then cuts what is left. Idempotent. */
  stop(): Promise<void>
  /** Messages, bytes and milliseconds that wait for the store: for metrics. */
  readonly queue: Pick<AppendQueue, 'count' | 'bytes' | 'age'>
  /** Connections now. */
  readonly connections: Pick<HttpDoor, 'open'>
}

/** URLs are bounded by the size of HTTP headers; a long id shall be told that it is no id. */
const PARAM_MAX_LENGTH = 16_384

/** Longer than any certificate lives: a century. */
const FOREVER_SECONDS = 100 * 365 * 24 * 3_600

/** The REST interface over a mailbox. */
export function createPushApi(options: PushApiOptions): PushApi {
  const { mailbox, bus, credentials, uplink, webhooks, keyring, tokens, log, clock = systemClock } = options
  const { trustedProxies = NO_PROXIES } = options
  const limits: ApiLimits = { ...DEFAULT_API_LIMITS, ...options.limits }
  const counters = options.counters ?? new ApiCounters()
  const queue = new AppendQueue(limits, clock)
  const auth = createAuthenticator(keyring, clock)
  const door = new HttpDoor(limits, options.sockets ?? new SocketBudget(Infinity), counters)
  const context: RouteContext = {
    auth,
    body: { bodyMax: limits.bodyMax, budget: new ReceivingBudget(limits.receivingMaxBytes) },
    addressOf: ({ raw: { socket, headers } }) =>
      clientAddress(canonicalAddress(socket.remoteAddress ?? '') ?? '', headers['x-forwarded-for'], trustedProxies),
    service: {
      mailbox,
      bus,
      nodes: new LiveNodes(bus, clock),
      credentials,
      uplink,
      webhooks,
      tokens,
      revocationSeconds:
        options.clientCertificates === true ? FOREVER_SECONDS : (tokens?.maxTtlSeconds ?? DEFAULT_TOKEN_SECONDS),
      clock,
      log,
      limits,
      counters,
      tracer: options.tracer ?? null,
      queue,
      deadlines: new AnswerDeadlines(limits.appendTimeoutMs, clock),
      forgetSession: options.forgetSession ?? (() => Promise.resolve()),
      keyring: {
        forget(id) {
          keyring.forget(id)
          auth.forget()
        },
      },
    },
  }
  let app: FastifyInstance | null = null
  let secure: HttpsListener | null = null

  async function start(): Promise<{ http?: number; https?: number }> {
    const { host, port, https = null } = options
    const instance = await build(context, door, options)
    app = instance
    try {
      const http = port === null ? {} : { http: await listenPlain(instance, host, port) }
      if (https === null) return http
      secure = createHttpsListener({
        ...https,
        host,
        limits,
        door,
        counters,
        log,
        onRequest: (request, response) => instance.routing(request, response),
        onClientError: answerClientErrors(counters, door),
      })
      return { ...http, https: await secure.listen() }
    } catch (error) {
      await stop()
      throw error
    }
  }

  let stopped: Promise<void> | null = null
  const stop = (): Promise<void> => (stopped ??= stopOnce())

  async function stopOnce(): Promise<void> {
    const instance = app
    if (instance === null) return
    const cut = setTimeout(() => {
      instance.server.closeAllConnections()
      secure?.cut()
    }, limits.stopTimeoutMs)
    try {
      const closed = Promise.all([instance.close(), secure?.close()])
      door.close()
      await closed
    } finally {
      clearTimeout(cut)
    }
  }

  return { start, stop, leave: () => door.leave(), queue, connections: door }
}

async function listenPlain(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port, backlog: BACKLOG })
  } catch (error) {
    throw listenError(error, host, port)
  }
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('the HTTP server has no port')
  return address.port
}

function listenError(cause: unknown, host: string, port: number): Error {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'EADDRINUSE') {
    return new StartupError(`--http-port ${port}: another process listens on that port of ${host}`, {
      cause,
      exitCode: EXIT.busy.code,
    })
  }
  return new StartupError(`--http-port ${port}: cannot listen on ${host} (${String(code ?? cause)})`, { cause })
}

async function build(
  context: RouteContext,
  door: HttpDoor,
  options: Pick<PushApiOptions, 'version' | 'origins' | 'devPage' | 'http'>,
): Promise<FastifyInstance> {
  const { version = '0.0.0', origins = null, devPage = null, http = null } = options
  const { limits, log, counters } = context.service
  const reporting = { log, counters, http }
  const app = fastify({
    logger: false, // requests are counted, not logged
    genReqId: requestIds(),
    requestIdHeader: false,
    bodyLimit: limits.bodyMax,
    serverFactory: (listener) => createHttpServer(limits, door, listener),
    return503OnClosing: false, // a connection that is still open is served until it is closed
    routerOptions: { maxParamLength: PARAM_MAX_LENGTH },
    clientErrorHandler: answerClientErrors(counters, door),
    frameworkErrors: (error, _request, reply) => replyUnmatched(reporting, reply, error),
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: true, allErrors: false } },
  })
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  answerWithRequestId(app)
  registerErrorHandlers(app, reporting)
  if (http !== null) countAnswers(app, http)
  if (origins !== null) registerCors(app, origins)
  refuseMalformed(app)
  limitAddresses(app, new RateTable(limits.requestsPerAddress), context)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', (request, payload, done) => {
    readText(payload, request.headers, context.body, (error, text = '') => {
      if (error !== null || text === '') return done(error, undefined)
      try {
        done(null, parseJson(text))
      } catch (fault) {
        done(fault instanceof Error ? fault : new Error('the body cannot be parsed', { cause: fault }))
      }
    })
  })
  await registerOpenapi(app, version)
  const plugins = [messageRoutes, deviceRoutes, inboxRoutes, keyRoutes, uplinkRoutes, webhookRoutes, notBuiltRoutes]
  for (const routes of plugins) {
    await app.register((scope, _options, done) => {
      routes(scope, context)
      done()
    })
  }
  openapiRoute(app)
  if (devPage !== null) devPageRoutes(app, devPage)
  await app.ready()
  return app
}

function createHttpServer(limits: ApiLimits, door: HttpDoor, listener: RequestListener): Server {
  const guarded = door.guard(listener)
  const server = createServer(httpServerOptions(limits), guarded)
  // An `Expect` that Node does not know goes the way of all requests.
  server.on('checkExpectation', guarded)
  door.watch(server)
  return server
}

/** What RFC 9112 says about a request's headers, and Node would answer without a problem document. */
function refuseMalformed(app: FastifyInstance): void {
  app.addHook('onRequest', ({ headers, raw }, _reply, done) => {
    if (headers.host === undefined && raw.httpVersion === '1.1') {
      done(new PostriderError('bad_request', 'Host: the header is missing'))
    } else if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') {
      done(new PostriderError('bad_request', 'Expect: only 100-continue is understood'))
    } else done()
  })
}

/** Before anything else is looked at, keys too: guessing them is what costs an attacker nothing. */
function limitAddresses(app: FastifyInstance, rates: RateTable, context: RouteContext): void {
  if (!rates.limits) return
  app.addHook('onRequest', (request, _reply, done) => {
    if (rates.take(addressKey(context.addressOf(request)), context.service.clock.monotonic())) done()
    else done(new PostriderError('rate_limited', 'too many requests from this address'))
  })
}
