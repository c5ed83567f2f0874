import { matches } from '../../../../protocol/acl.js'
import { ask, type StoreContext } from '../device-scripts.js'
import { ordinaryTopicsKey } from '../keys.js'
import { listOf, textOf } from '../reply.js'

const PAGE = 1_000

export interface RetainedPage {
  readonly topics: readonly string[]
  /** How many were looked at. */
  readonly looked: number
}

/** The topics of retained messages under a filter, in pages; those that come or go meanwhile may or may not be among them. */
export async function* retainedTopics(context: StoreContext, filter: string): AsyncGenerator<RetainedPage> {
  const levels = filter.split('/')
  const wild = levels.findIndex((level) => level === '+' || level === '#')
  if (wild === -1) {
    yield { topics: [filter], looked: 1 }
    return
  }
  // `a/#` is for `a`, too.
  const stem = levels.slice(0, wild).join('/')
  const below = stem === '' && wild === 0 ? null : Buffer.from(stem)
  const top = below === null ? '+' : Buffer.concat([Buffer.from('['), below, Buffer.from([0xff])])
  let from: string | Buffer = below === null ? '-' : Buffer.concat([Buffer.from('['), below])
  for (;;) {
    const args = [ordinaryTopicsKey, from, top, 'LIMIT', 0, PAGE] as const
    const topics = listOf(await ask(context, 'zrangebylex', args)).map(textOf)
    yield { topics: topics.filter((topic) => matches(filter, topic)), looked: topics.length }
    const last = topics.at(-1)
    if (last === undefined || topics.length < PAGE) return
    from = `(${last}`
  }
}
