import { isMongoLocation, isMongoUrl } from './mongo-location.js'
import { isRedisUrl, parseRedisUrl } from './redis-location.js'

/** `file:./data` → `./data`; the URL of a Redis or MongoDB stays what it is; undefined: none of them. */
export function storePlace(raw: string): string | undefined {
  if (isMongoUrl(raw)) return isMongoLocation(raw) ? raw : undefined
  if (isRedisUrl(raw)) return parseRedisUrl(raw) === null ? undefined : raw
  const path = raw.startsWith('file://') ? raw.slice('file://'.length) : raw.startsWith('file:') ? raw.slice(5) : ''
  // A folder of such a name stays one.
  return path === '' ? undefined : isRedisUrl(path) || isMongoUrl(path) ? `./${path}` : path
}
