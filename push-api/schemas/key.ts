import { SCOPES } from '../../core/ports/credentials.js'
import { FIELD_LIMITS } from '../limits.js'
import { closed, ref, shape, TIME, type Schema } from './common.js'

const SCOPE_LIST: Schema = {
  type: 'array',
  minItems: 1,
  uniqueItems: true,
  items: { type: 'string', enum: SCOPES },
  description: '`admin` implies the others',
}

const KEY_FIELDS = { id: { type: 'string' }, name: { type: 'string' }, scopes: SCOPE_LIST, createdAt: TIME }

export const KEY_REQUEST: Schema = closed(
  { name: { type: 'string', minLength: 1, maxLength: FIELD_LIMITS.keyNameMax }, scopes: SCOPE_LIST },
  ['name', 'scopes'],
)

export const KEY: Schema = { $id: 'Key', ...shape(KEY_FIELDS) }

export const NEW_KEY: Schema = {
  $id: 'NewKey',
  ...shape({ key: { type: 'string', description: 'The key itself, told this once' }, ...KEY_FIELDS }),
}

export const KEYS: Schema = { $id: 'Keys', ...shape({ keys: { type: 'array', items: ref('Key') } }) }

export const KEY_PARAMS: Schema = closed({ id: { type: 'string', minLength: 1, maxLength: FIELD_LIMITS.cursorMax } }, [
  'id',
])
