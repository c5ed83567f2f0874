// The web pages that may speak to this server from a browser.

export interface AllowedOrigins {
  /** Whether a page of this origin may; `origin` as the browser sends it. */
  allow(origin: string): boolean
  /** False: every origin may. */
  readonly limited: boolean
}

export const ORIGIN_RULE = 'an origin such as https://app.example.com or http://localhost:3000, or * for all'

/** As a browser writes it: `https://app.example.com`, without a default port or a path. Null: not an origin. */
export function canonicalOrigin(text: string): string | null {
  if (text === '*') return text
  const [, scheme = '', host = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@*\s]+)$/i.exec(text) ?? []
  if (host === '' || !URL.canParse(text)) return null
  const { origin } = new URL(text)
  // Apps in a wrapper have schemes of their own, for which the URL has no origin.
  return origin === 'null' ? `${scheme}://${host}`.toLowerCase() : origin
}

/** RangeError: an item that is no origin. */
export function allowedOrigins(items: readonly string[]): AllowedOrigins {
  const origins = new Set(
    items.map((item) => {
      const origin = canonicalOrigin(item)
      if (origin === null) throw new RangeError(`${item} is not an origin`)
      return origin
    }),
  )
  const limited = !origins.has('*')
  return { limited, allow: (origin) => !limited || origins.has(origin) }
}

/**
 * Pages of this machine. A server without passwords listens to this machine alone, but a browser on it runs the pages of
 * everybody: also those of a name that was made to point here. Their origin still says where they are from.
 */
export const LOOPBACK_ORIGINS: AllowedOrigins = {
  limited: true,
  allow(origin) {
    if (!URL.canParse(origin)) return false
    const { hostname } = new URL(origin)
    return /^(?:localhost|[a-z0-9.-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname)
  },
}
