import type { StoredMessage } from '../../../core/model/message.js'

const PAYLOAD = new Uint8Array(0)
const cache = new Map<number, StoredMessage>()

/** The message at `seq` whose true identity is `mid`. The identity travels in `at`, which no rule looks at. */
export function simMessage(seq: number, mid: number): StoredMessage {
  const key = seq * 1_000_003 + mid
  let message = cache.get(key)
  if (message === undefined) {
    message = {
      seq,
      at: mid,
      expiresAt: null,
      priority: 'normal',
      dedupId: null,
      contentType: '',
      attributes: null,
      payload: PAYLOAD,
    }
    cache.set(key, message)
  }
  return message
}

export const midOf = (message: StoredMessage): number => message.at
