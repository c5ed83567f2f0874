import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from '../log.js'
import type { Metrics } from '../metrics/metrics.js'
import type { Readiness, ReadyReport } from './readiness.js'

export interface AdminServer {
  /** Binds; rejects with the system's error (EADDRINUSE …). */
  start(): Promise<{ readonly admin: number }>
  /** Ends the listener and what is open on it. Idempotent. */
  stop(): Promise<void>
}

export interface StartState {
  /** True once everything serves. */
  readonly started: boolean
  /** The step that is under way; null: none is. */
  readonly step: string | null
}

export interface AdminServerOptions {
  readonly host: string
  readonly port: number
  /** Null: there are none. */
  readonly metrics: Pick<Metrics, 'text' | 'contentType'> | null
  readonly readiness: Pick<Readiness, 'report'>
  readonly start: () => StartState
  readonly log: Logger
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json; charset=utf-8'

function readyText(report: ReadyReport): string {
  const lines = [
    report.ready ? 'ready' : 'not ready',
    ...report.holds.map((reason) => `[-] ${reason}`),
    ...report.checks.map(({ name, ok, error }) => (ok ? `[+] ${name} ok` : `[-] ${name} failed: ${error ?? ''}`)),
  ]
  return `${lines.join('\n')}\n`
}

/** Text, unless JSON is asked for. */
function answerAs(json: boolean, status: number, text: string, body: unknown): Answer {
  return json ? { status, type: JSON_TYPE, body: `${JSON.stringify(body)}\n` } : { status, type: TEXT, body: text }
}

function live(json: boolean): Answer {
  return answerAs(json, 200, 'live\n', { status: 'live' })
}

async function ready(json: boolean, readiness: Pick<Readiness, 'report'>): Promise<Answer> {
  const report = await readiness.report()
  const { holds, checks } = report
  const status = report.ready ? 'ready' : 'not_ready'
  return answerAs(json, report.ready ? 200 : 503, readyText(report), { status, holds, checks })
}

function started(json: boolean, { started: done, step }: StartState): Answer {
  const text = done ? 'started\n' : `starting${step === null ? '' : `: ${step}`}\n`
  return answerAs(json, done ? 200 : 503, text, { status: done ? 'started' : 'starting', step })
}

/**
 * What operators and their machines ask a node, on a port of its own that is not for the public:
 * - `/livez`: 200 while the process turns its event loop. It is answered by that loop, so a process that hangs does not answer,
 *   and the prober's own timeout tells; nothing else makes it fail.
 * - `/readyz`: 200 or 503, each check by name.
 * - `/startupz`: 503 until everything serves, with the step that is under way.
 * - `/metrics`.
 * JSON for `Accept: application/json` or `?format=json`, else text.
 */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const { host, port, metrics, readiness, log } = options

  async function answer(request: IncomingMessage): Promise<Answer> {
    const [path = '', query = ''] = (request.url ?? '/').split('?', 2)
    const format = new URLSearchParams(query).get('format')
    const json = format === null ? (request.headers.accept ?? '').includes('application/json') : format === 'json'
    if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, type: TEXT, body: 'GET only\n' }
    switch (path) {
      case '/livez':
        return live(json)
      case '/readyz':
        return ready(json, readiness)
      case '/startupz':
        return started(json, options.start())
      case '/metrics':
        if (metrics === null) return { status: 404, type: TEXT, body: 'metrics are off (--metrics)\n' }
        return { status: 200, type: metrics.contentType, body: await metrics.text() }
      default:
        return { status: 404, type: TEXT, body: 'here are /livez, /readyz, /startupz and /metrics\n' }
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let result: Answer
    try {
      result = await answer(request)
    } catch (err) {
      log.error({ err }, 'an admin request failed')
      result = { status: 500, type: TEXT, body: 'failed, the log says why\n' }
    }
    const headers = { 'content-type': result.type, 'cache-control': 'no-store' }
    response.writeHead(result.status, result.status === 405 ? { ...headers, allow: 'GET, HEAD' } : headers)
    response.end(request.method === 'HEAD' ? undefined : result.body)
  }

  // Probes and scrapers only: small headers, short waits, few connections.
  const server = createServer(
    { maxHeaderSize: 8 * 1024, requestTimeout: 5_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 },
    (request, response) => void serve(request, response),
  )
  server.maxConnections = 256

  return {
    start: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host, port }, () => {
          server.removeListener('error', reject)
          server.on('error', (err) => log.error({ err }, 'the admin listener has an error'))
          const address: AddressInfo | string | null = server.address()
          resolve({ admin: typeof address === 'object' && address !== null ? address.port : port })
        })
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
