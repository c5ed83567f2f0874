// Where a Redis is, as `--store` says it.
//
//   redis://[user[:password]@]host[:port][/db]                        one server; rediss:// with TLS
//   redis+sentinel://[user[:password]@]h1[:p1],h2[:p2]…/name[/db]     the master that the sentinels name; rediss+sentinel://
//   redis+cluster://[user[:password]@]h1[:p1],h2[:p2]…                a cluster, found from any of its nodes; rediss+cluster://
//
// `?sentinelPassword=…` is for sentinels that ask for one. User, password and name are percent-encoded.

export interface RedisHost {
  readonly host: string
  readonly port: number
}

export type RedisLocation = {
  readonly hosts: readonly [RedisHost, ...RedisHost[]]
  readonly user: string | null
  readonly password: string | null
  readonly tls: boolean
} & (
  | { readonly kind: 'single'; readonly db: number }
  | {
      readonly kind: 'sentinel'
      readonly name: string
      readonly db: number
      readonly sentinelPassword: string | null
    }
  | { readonly kind: 'cluster' }
)

export const REDIS_URL_RULE =
  'redis://host:port, redis+sentinel://host1:port,host2:port/name or redis+cluster://host1:port,host2:port (rediss… with TLS)'

const FORM = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^/?#]*)@)?([^/?#@]+)((?:\/[^/?#]*)*)(?:\?([^#]*))?$/
const HOST = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/

export const isRedisUrl = (text: string): boolean => /^rediss?(?:\+[a-z]+)?:/.test(text)

/** Null: it is not of the form. Nothing of it may be told then, for there may be a password in it. */
export function parseRedisUrl(url: string): RedisLocation | null {
  const match = FORM.exec(url)
  if (match === null) return null
  const [, secure, cluster, userInfo, authority = '', path = '', query = ''] = match
  const hosts = readHosts(authority, cluster === 'sentinel' ? 26_379 : 6_379)
  if (hosts === null) return null
  const parts = path.split('/').slice(1)
  if (parts.at(-1) === '') parts.pop()
  const parameters = new URLSearchParams(query)
  try {
    const [user = null, password = null] =
      userInfo === undefined ? [] : userInfo.split(/:(.*)/s, 2).map((part) => decodeURIComponent(part))
    const common = {
      hosts,
      user: user === '' ? null : user,
      password: password === '' ? null : password,
      tls: secure === 's',
    }
    const allowed = cluster === 'sentinel' ? ['sentinelPassword'] : []
    if ([...parameters.keys()].some((key) => !allowed.includes(key))) return null
    if (cluster === 'cluster') return parts.length === 0 ? { ...common, kind: 'cluster' } : null
    const [name = '', ...rest] =
      cluster === 'sentinel' ? parts.map((part) => decodeURIComponent(part)) : ['x', ...parts]
    const db = rest.length === 0 ? 0 : rest.length === 1 && /^\d{1,5}$/.test(rest[0] ?? '') ? Number(rest[0]) : null
    if (db === null || name === '') return null
    if (cluster === undefined) return hosts.length === 1 ? { ...common, kind: 'single', db } : null
    return { ...common, kind: 'sentinel', name, db, sentinelPassword: parameters.get('sentinelPassword') }
  } catch (error) {
    if (error instanceof URIError) return null
    throw error
  }
}

function readHosts(authority: string, defaultPort: number): readonly [RedisHost, ...RedisHost[]] | null {
  const hosts: RedisHost[] = []
  for (const part of authority.split(',')) {
    const match = HOST.exec(part)
    const port = Number(match?.[3] ?? defaultPort)
    const host = match?.[1] ?? match?.[2]
    if (host === undefined || port < 1 || port > 65_535) return null
    hosts.push({ host, port })
  }
  const [first, ...rest] = hosts
  return first === undefined ? null : [first, ...rest]
}

/** The same without secrets, for logs and errors. */
export function describeLocation(location: RedisLocation): string {
  const scheme = `redis${location.tls ? 's' : ''}${location.kind === 'single' ? '' : `+${location.kind}`}`
  const hosts = location.hosts.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',')
  if (location.kind === 'cluster') return `${scheme}://${hosts}`
  const name = location.kind === 'sentinel' ? `/${location.name}` : ''
  return `${scheme}://${hosts}${name}${location.db === 0 ? '' : `/${location.db}`}`
}
