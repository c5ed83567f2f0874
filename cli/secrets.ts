// The two secrets of a server, and where they are kept: the environment, a file that the environment names, else a file of mode 0600
// in the data folder.

import { randomBytes } from 'node:crypto'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Environment } from '../core/config/read-environment.js'
import { StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'
import { generateApiKey, parseOperatorKeys } from '../core/security/api-keys.js'
import { parseTokenSecrets } from '../core/security/token-secrets.js'

export const API_KEY_VARIABLE = 'POSTRIDER_API_KEY'
export const TOKEN_SECRET_VARIABLE = 'POSTRIDER_TOKEN_SECRET'

export const apiKeyFile = (folder: string): string => join(folder, 'api-key')
export const tokenSecretFile = (folder: string): string => join(folder, 'token-secret')

/** What names a file with the secret instead of the secret: such a file may change while the server runs. */
export const fileVariable = (name: string): string => `${name}_FILE`

const GROUP_AND_OTHERS = 0o077
const OTHERS = 0o007

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

function fileError(path: string, what: string, cause: unknown): StartupError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new StartupError(`${path}: ${what}: ${reason}`, { cause, exitCode: EXIT.cannotCreate.code })
}

/**
 * The trimmed text of a secret file; null when there is none. Refused (StartupError) when others than its owner may read
 * or write it, and when it is empty. `groupMay`: its group may read it too, as where Kubernetes mounts a Secret for a pod's group.
 */
export async function readSecretFile(path: string, groupMay = false): Promise<string | null> {
  let text: string
  try {
    const { mode } = await stat(path)
    if ((mode & (groupMay ? OTHERS : GROUP_AND_OTHERS)) !== 0) {
      const [whose, right] = groupMay ? ['not for everybody', 'o='] : ['for its owner alone', '600']
      throw new StartupError(
        `${path}: has mode ${(mode & 0o777).toString(8)}, but a secret is ${whose}; run: chmod ${right} ${path}`,
      )
    }
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (error instanceof StartupError) throw error
    if (codeOf(error) === 'ENOENT') return null
    throw fileError(path, 'cannot be read', error)
  }
  if (text === '') throw new StartupError(`${path}: is empty; put a secret in it, or remove it to have a new one made`)
  return text
}

/** Makes the file in one step: it is there as a whole, or not at all. The caller is alone in the folder. */
async function writeSecretFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  try {
    const file = await open(temporary, 'w', 0o600)
    try {
      await file.chmod(0o600)
      await file.writeFile(`${text}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    throw fileError(path, 'cannot be written', error)
  }
}

/** A variable's trimmed text; null when it is not set or empty. */
function variable(env: Environment, name: string): string | null {
  const value = env[name]?.trim() ?? ''
  return value === '' ? null : value
}

/** A file, and the text that was found in it, or put there. */
export interface SecretFile {
  readonly path: string
  readonly text: string
  /** Somebody else looks after it; see `readSecretFile`. */
  readonly groupMay?: true
}

/** The file that the environment names for a secret; null: none. */
async function namedFile(env: Environment, name: string): Promise<SecretFile | null> {
  const path = variable(env, fileVariable(name))
  if (path === null) return null
  if (variable(env, name) !== null) throw new StartupError(`${name} and ${fileVariable(name)}: give one of them`)
  const text = await readSecretFile(path, true)
  if (text === null) throw new StartupError(`${fileVariable(name)}: there is no file ${path}`)
  return { path, text, groupMay: true }
}

export interface ServerSecrets {
  /** Each is an API key with all scopes; the first is the newest. */
  readonly operatorKeys: readonly string[]
  /** The first signs, all verify. */
  readonly tokenSecrets: readonly Uint8Array[]
  /** The files that they come from; null: the environment. */
  readonly files: { readonly apiKey: SecretFile | null; readonly tokenSecret: SecretFile | null }
  /** Files that were made now. */
  readonly made: readonly string[]
}

/** Without a data folder both secrets must be given; refused (StartupError) with the names of those that are not. */
export function requireSecrets(env: Environment): void {
  const missing = [API_KEY_VARIABLE, TOKEN_SECRET_VARIABLE].filter(
    (name) => variable(env, name) === null && variable(env, fileVariable(name)) === null,
  )
  if (missing.length === 0) return
  throw new StartupError(
    `${missing.join(' and ')}: must be set (or with _FILE the files that have them), because without a file store there is no data folder to keep secrets in`,
  )
}

/**
 * The secrets that a server starts with: from the environment, else from the data folder, which gets new random ones
 * where it has none. Call it only while this process alone serves the folder; null: there is none. Nothing here is ever
 * logged.
 */
export async function loadServerSecrets(folder: string | null, env: Environment): Promise<ServerSecrets> {
  if (folder === null) requireSecrets(env)
  const made: string[] = []

  /** The variable's text, else that of the file that it names, else that of the data folder. */
  async function load(name: string, path: string, make: () => string): Promise<string | SecretFile> {
    const given = variable(env, name)
    const named = await namedFile(env, name)
    if (named !== null) return named
    if (given !== null) return given
    const kept = await readSecretFile(path)
    if (kept !== null) return { path, text: kept }
    const text = make()
    await writeSecretFile(path, text)
    made.push(path)
    return { path, text }
  }

  /** As `parse` reads it, from wherever it is. */
  function read<T>(found: string | SecretFile, name: string, parse: (text: string, source: string) => T): T {
    return typeof found === 'string' ? parse(found, name) : parse(found.text, found.path)
  }

  const fileOf = (found: string | SecretFile): SecretFile | null => (typeof found === 'string' ? null : found)

  const data = folder ?? ''
  const apiKey = await load(API_KEY_VARIABLE, apiKeyFile(data), () => generateApiKey().key)
  const tokenSecret = await load(TOKEN_SECRET_VARIABLE, tokenSecretFile(data), () =>
    randomBytes(48).toString('base64url'),
  )
  return {
    operatorKeys: read(apiKey, API_KEY_VARIABLE, parseOperatorKeys),
    tokenSecrets: read(tokenSecret, TOKEN_SECRET_VARIABLE, parseTokenSecrets),
    files: { apiKey: fileOf(apiKey), tokenSecret: fileOf(tokenSecret) },
    made,
  }
}

/** The token secrets that a command on the server's machine may use; null: there are none here. */
export async function findTokenSecrets(folder: string, env: Environment): Promise<readonly Uint8Array[] | null> {
  const fromEnvironment = variable(env, TOKEN_SECRET_VARIABLE)
  const named = await namedFile(env, TOKEN_SECRET_VARIABLE)
  if (named !== null) return parseTokenSecrets(named.text, named.path)
  if (fromEnvironment !== null) return parseTokenSecrets(fromEnvironment, TOKEN_SECRET_VARIABLE)
  const path = tokenSecretFile(folder)
  const text = await readSecretFile(path)
  return text === null ? null : parseTokenSecrets(text, path)
}

/** The API key of a client command: the given one, that of the file which is named, else the data folder's; of several the first. */
export async function findApiKey(folder: string, given: string | undefined, env: Environment): Promise<string | null> {
  if (given !== undefined) return parseOperatorKeys(given, API_KEY_VARIABLE)[0] ?? null
  const file = await namedFile(env, API_KEY_VARIABLE)
  const path = file?.path ?? apiKeyFile(folder)
  const text = file?.text ?? (await readSecretFile(path))
  return text === null ? null : (parseOperatorKeys(text, path)[0] ?? null)
}
