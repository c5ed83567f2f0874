import { request as requestPlain, type IncomingMessage } from 'node:http'
import { request as requestSecure } from 'node:https'
import { text } from 'node:stream/consumers'

/**
 * One HTTP request, whole answer. `fetch` cannot be told whom to trust. `ca`: PEM, the authorities of the server's
 * certificate; null: those that Node knows. Rejects with the system's error, or when `signal` is aborted.
 */
export function httpCall(
  url: URL,
  options: {
    readonly method: string
    readonly headers: Readonly<Record<string, string>>
    readonly body: string | null
    readonly ca: string | null
    readonly signal: AbortSignal
  },
): Promise<{ readonly status: number; readonly text: string }> {
  const { method, headers, body, ca, signal } = options
  return new Promise((resolve, reject) => {
    const answered = (response: IncomingMessage): void => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, text: answer }), reject)
    }
    const request =
      url.protocol === 'https:'
        ? requestSecure(url, { method, headers, signal, ...(ca === null ? {} : { ca }) }, answered)
        : requestPlain(url, { method, headers, signal }, answered)
    request.on('error', reject)
    request.end(body ?? undefined)
  })
}
