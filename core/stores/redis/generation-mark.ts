// The mark that makes a store another generation although the same Redis answers: for who puts older data into a server that goes on
// running. Processes that serve the store learn it when they start, so nobody may serve it meanwhile.

import { StartupError } from '../../errors.js'
import { randomId } from '../../random-id.js'
import type { RedisConnections } from './connections.js'
import { META_KEY } from './keys.js'
import { messageOf } from './redis-errors.js'
import { textOf } from './reply.js'

const FIELD = 'mark'

type Commands = Pick<RedisConnections, 'command'>

/** Empty: there is none. */
export async function readMark(connections: Commands): Promise<string> {
  const mark = await connections.command('hget', [META_KEY, FIELD])
  return mark === null ? '' : textOf(mark)
}

/** Rejects with StartupError: there is no store, or it cannot be written. `where`: without secrets. */
export async function renewMark(connections: Commands, where: string): Promise<void> {
  try {
    if ((await connections.command('hget', [META_KEY, 'format'])) === null) {
      throw new StartupError(`${where}: no Postrider has written there; is it the right server and database number?`)
    }
    await connections.command('hset', [META_KEY, FIELD, randomId()], true)
  } catch (cause) {
    if (cause instanceof StartupError) throw cause
    throw new StartupError(`${where}: the store cannot be written: ${messageOf(cause)}`, { cause })
  }
}
