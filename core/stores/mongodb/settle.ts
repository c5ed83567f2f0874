// What became of a step whose answer is not the whole truth: a bulk write says how many updates counted, not which; and sometimes it
// says nothing. The document tells: it keeps the ids of its last steps, one for each version.

import type { DeviceState } from './device-state.js'
import { fieldsOf, listOf, numberOf, textOf } from './fields.js'

/**
 * `done`: the step counted. `again`: it did not, and never will. `unknown`: it may have, or may yet. `document`: the device's
 * `n`, `v` and `ops`, read after the write; null: there is none. `answered`: the server said that it is through with the write.
 */
export function whatBecame(
  { life, version }: Pick<DeviceState, 'life' | 'version'>,
  op: string,
  document: unknown,
  answered: boolean,
): 'done' | 'again' | 'unknown' {
  // It is purged, before or after this step: nobody sees what it did.
  if (document === null) return answered ? 'again' : 'unknown'
  const fields = fieldsOf(document)
  if (textOf(fields, 'n') !== life) return 'again'
  const now = numberOf(fields, 'v')
  if (now <= version) return answered ? 'again' : 'unknown'
  const ops = listOf(fields, 'ops')
  // The last id is the one that made version `now`.
  const kept = ops[ops.length - 1 - (now - version - 1)]
  if (kept === undefined) return 'unknown'
  return kept === op ? 'done' : 'again'
}
