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

function wantsJson(request: IncomingMessage): boolean {
  return (request.headers.accept ?? '').includes('application/json')
}

/**
 * What operators and their machines ask a node, on a port of its own that is not for the public:
 * `/livez` (200 while the process turns its event loop), `/readyz` (200 or 503, each check by name) and `/metrics`.
 */
export function createAdminServer(options: {
  readonly host: string
  readonly port: number
  readonly metrics: Metrics
  readonly readiness: Readiness
  readonly log: Logger
}): AdminServer {
  const { host, port, metrics, readiness, log } = options

  async function answer(request: IncomingMessage): Promise<Answer> {
    const path = (request.url ?? '/').split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, type: TEXT, body: 'GET only\n' }
    if (path === '/livez') {
      return wantsJson(request)
        ? { status: 200, type: JSON_TYPE, body: '{"status":"live"}\n' }
        : { status: 200, type: TEXT, body: 'live\n' }
    }
    if (path === '/readyz') {
      const report = await readiness.report()
      const status = report.ready ? 200 : 503
      if (!wantsJson(request)) return { status, type: TEXT, body: readyText(report) }
      const body = { status: report.ready ? 'ready' : 'not_ready', holds: report.holds, checks: report.checks }
      return { status, type: JSON_TYPE, body: `${JSON.stringify(body)}\n` }
    }
    if (path === '/metrics') return { status: 200, type: metrics.contentType, body: await metrics.text() }
    return { status: 404, type: TEXT, body: 'here are /livez, /readyz and /metrics\n' }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let result: Answer
    try {
      result = await answer(request)
    } catch (err) {
      log.error({ err, url: request.url }, 'an admin request failed')
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
