import { isLoopback } from '../net/loopback.js'
import type { ValueType } from './value-types.js'

/**
 * Where a JWKS is: a URL, or the path of a file. Whoever can change it on its way makes tokens for every device: so https, or
 * http from this machine alone. A user or password in it would end up in logs.
 */
export function keySetLocation(): ValueType<string> {
  return {
    placeholder: 'URL|FILE',
    expected: 'an https:// URL without user and password (http:// from this machine only), or the path of a file',
    parse(raw) {
      const text = raw.trim()
      if (text === '') return undefined
      if (!/^[a-z][a-z0-9+.-]*:/i.test(text)) return text
      if (!URL.canParse(text)) return undefined
      const url = new URL(text)
      if (url.protocol === 'file:') return text.replace(/^file:(?:\/\/(?=\/))?/i, '')
      const host = url.hostname.replace(/^\[|\]$/g, '')
      const safe = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(host))
      return safe && url.username === '' && url.password === '' ? url.href : undefined
    },
    format: (value) => value,
  }
}
