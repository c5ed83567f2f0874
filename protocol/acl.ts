// What a device token may grant besides the device's own mailbox and uplink: filters for ordinary publish and subscribe.
// Pure: reading a grant, and whether a grant covers a topic or a filter. Who is asked when is the broker's decision.
//
// A grant's filter means what MQTT says it means, with one rule of ours on top: a filter that begins with a wildcard never
// matches a mailbox topic (`inbox/…`, `stream/…`, `uplink/…`), as it never matches one that begins with `$` [MQTT-4.7.2-1].
// So `#` is a legal grant: all ordinary topics but those with a `$`, nobody's mailbox. `$x/#` is one too: a server should keep
// clients from exchanging messages there (section 4.7.2), so it has to be said by its name.

import { classifyFilter, classifyTopic, isReservedLevel, type FilterKind } from './topics.js'
import { utf8Length } from './utf8-length.js'

export interface Acl {
  /** A topic that one of them matches may be published to. */
  readonly publish: Granted
  /** A filter that one of them covers may be subscribed to. */
  readonly subscribe: Granted
}

/** Filters. `everything`: every ordinary topic, those that begin with `$` too, for which there is no filter. */
export type Granted = readonly string[] | 'everything'

/** A token without `acl`. */
export const NO_GRANTS: Acl = { publish: [], subscribe: [] }

/** `--auth none`: every ordinary topic. */
export const ALL_GRANTS: Acl = { publish: 'everything', subscribe: 'everything' }

/** Filters in one list: each PUBLISH and SUBSCRIBE is compared with all of them. */
export const ACL_FILTERS_MAX = 100

/** UTF-8 bytes of one filter. */
export const ACL_FILTER_MAX_BYTES = 512

export type AclVerdict =
  | { readonly ok: true; readonly acl: Acl }
  /** `path`: such as `publish[3]`. `problem` says what is wrong there, without the value. */
  | { readonly ok: false; readonly path: string; readonly problem: string }

const MAILBOXES = 'inbox, stream and uplink cannot be granted'
const PROBLEMS: Readonly<Record<FilterKind['kind'], string | null>> = {
  ordinary: null,
  malformed: 'not an MQTT filter',
  system: '$SYS and $share cannot be granted',
  mailbox: MAILBOXES,
  reserved: MAILBOXES,
}

/** Why `filter` cannot be granted; null: it can. */
export function grantProblem(filter: unknown): string | null {
  if (typeof filter !== 'string') return 'a filter is a string'
  // Cheap first: a character is at least one byte.
  if (filter.length > ACL_FILTER_MAX_BYTES || utf8Length(filter) > ACL_FILTER_MAX_BYTES) {
    return `a filter has at most ${ACL_FILTER_MAX_BYTES} bytes`
  }
  return PROBLEMS[classifyFilter(filter).kind]
}

/**
 * Reads `acl: {publish?: [filter], subscribe?: [filter]}`. Anything else in it is refused as a whole: a misspelt grant must
 * not be taken for none, nor a cut one for the whole. `undefined` (absent) grants nothing.
 */
export function readAcl(value: unknown): AclVerdict {
  if (value === undefined) return { ok: true, acl: NO_GRANTS }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return bad('', 'an object is expected')
  const acl: { publish: readonly string[]; subscribe: readonly string[] } = { publish: [], subscribe: [] }
  for (const [key, list] of Object.entries(value)) {
    if (key !== 'publish' && key !== 'subscribe') return bad('', 'only publish and subscribe are known')
    const read = readFilters(key, list)
    if ('problem' in read) return read
    acl[key] = read.filters
  }
  return { ok: true, acl }
}

function readFilters(key: string, list: unknown): { readonly filters: readonly string[] } | AclProblem {
  if (!Array.isArray(list)) return bad(key, 'an array of filters is expected')
  if (list.length > ACL_FILTERS_MAX) return bad(key, `at most ${ACL_FILTERS_MAX} filters`)
  const filters: string[] = []
  for (const [index, filter] of list.entries()) {
    const problem = grantProblem(filter)
    if (problem !== null || typeof filter !== 'string') return bad(`${key}[${index}]`, problem ?? '')
    filters.push(filter)
  }
  return { filters }
}

type AclProblem = Extract<AclVerdict, { ok: false }>
const bad = (path: string, problem: string): AclProblem => ({ ok: false, path, problem })

/** True when one of `granted` matches `topic`. Never true for a topic of a mailbox or of the system, or no topic at all. */
export function allows(granted: Granted, topic: string): boolean {
  if (granted.length === 0 || classifyTopic(topic).kind !== 'ordinary') return false
  return granted === 'everything' || granted.some((filter) => matches(filter, topic))
}

/** True when one of `granted` covers `filter` on its own. Never true for what is not an ordinary filter. */
export function grants(granted: Granted, filter: string): boolean {
  if (granted.length === 0 || classifyFilter(filter).kind !== 'ordinary') return false
  return granted === 'everything' || granted.some((grant) => covers(grant, filter))
}

/** Whether a well-formed filter matches a well-formed topic: [MQTT-4.7.1-2], [MQTT-4.7.1-3], and the rule at the top. */
export function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const levels = topic.split('/')
  if (isWildcard(wanted[0]) && isHidden(levels[0])) return false
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true // the parent level too: `a/#` matches `a`
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false
  }
  return wanted.length === levels.length
}

/**
 * Whether every topic that `requested` matches is matched by `granted` too. Both are well-formed. There are more names for a
 * level than any filter can list, so level by level: a wildcard is covered by a wildcard alone.
 */
export function covers(granted: string, requested: string): boolean {
  const wide = normal(granted)
  const narrow = normal(requested)
  if (isWildcard(wide[0]) && isHidden(narrow[0])) return false
  for (const [i, level] of wide.entries()) {
    if (level === '#') return true
    const asked = narrow[i]
    if (asked === undefined || asked === '#' || (level !== '+' && level !== asked)) return false
  }
  return wide.length === narrow.length
}

/** One text for filters that match the same topics: a topic is not empty [MQTT-4.7.3-1], so it has a level, and not one empty one. */
function normal(filter: string): readonly string[] {
  if (filter === '#') return ['+', '#']
  return filter === '/#' ? ['', '+', '#'] : filter.split('/')
}

const isWildcard = (level: string | undefined): boolean => level === '+' || level === '#'

/** First levels that no leading wildcard stands for. */
const isHidden = (level: string | undefined): boolean =>
  level !== undefined && (level.startsWith('$') || isReservedLevel(level))
