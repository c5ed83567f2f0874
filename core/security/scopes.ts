import { SCOPES, type Scope } from '../ports/credentials.js'

export function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text)
}

/** True when `scopes` allow `wanted`: `admin` implies the others. */
export function hasScope(scopes: readonly Scope[], wanted: Scope): boolean {
  return scopes.includes(wanted) || scopes.includes('admin')
}
