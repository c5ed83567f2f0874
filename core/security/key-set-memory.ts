// The last good JWKS of a URL, in a file: a server that restarts while the issuer is away still knows its keys.

import { open, readFile, rename } from 'node:fs/promises'
import type { Logger } from '../log.js'
import type { KeySetMemory } from './key-set-cache.js'

const FORMAT = 1

/** `location`: the keys of another one are not used. */
export function fileKeySetMemory(path: string, location: string, log: Logger): KeySetMemory {
  return {
    async load() {
      try {
        const kept: unknown = JSON.parse(await readFile(path, 'utf8'))
        if (typeof kept !== 'object' || kept === null) return null
        const fields = new Map<string, unknown>(Object.entries(kept))
        const [text, at] = [fields.get('text'), fields.get('at')]
        if (fields.get('format') !== FORMAT || fields.get('location') !== location) return null
        return typeof text === 'string' && typeof at === 'number' ? { text, at } : null
      } catch {
        return null // none yet, or one that cannot be read: as good as none
      }
    },
    async save(text, at) {
      try {
        const file = await open(`${path}.new`, 'w', 0o600)
        try {
          await file.writeFile(JSON.stringify({ format: FORMAT, location, at, text }))
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(`${path}.new`, path)
      } catch (err) {
        log.warn({ err, path }, 'the keys for device tokens could not be kept for a restart')
      }
    },
  }
}
