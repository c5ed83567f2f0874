// The option `tls` of `connect`, checked: what is wrong with a key or certificate is told at once, not with every connection.

import { createSecureContext } from 'node:tls'
import { messageOf, PostriderError } from '../device/errors.js'
import { tlsContext } from './tls-context.js'
import type { Pem, TlsOptions } from './tls-options.js'

const NAMES = ['ca', 'cert', 'key', 'passphrase', 'servername', 'rejectUnauthorized']

const bad = (path: string, text: string, cause?: unknown): PostriderError =>
  new PostriderError('bad_option', `${path}: ${text}`, { cause })

const isPem = (value: unknown): value is Pem => typeof value === 'string' || value instanceof Uint8Array
const isPems = (value: unknown): value is Pem | readonly Pem[] =>
  isPem(value) || (Array.isArray(value) && value.every(isPem))
const isText = (value: unknown): value is string => typeof value === 'string'
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean'

/** Throws PostriderError `bad_option`. */
export function readTls(value: unknown): TlsOptions {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('tls', 'an object')
  const fields: Readonly<Record<string, unknown>> = { ...value }
  for (const name of Object.keys(fields)) {
    if (!NAMES.includes(name)) throw bad(`tls.${name}`, 'there is no such option')
  }
  const { ca, cert, key, passphrase, servername, rejectUnauthorized } = fields
  if (ca !== undefined && !isPems(ca)) throw bad('tls.ca', 'PEM text or bytes, or an array of them')
  if (cert !== undefined && !isPem(cert)) throw bad('tls.cert', 'PEM text or bytes')
  if (key !== undefined && !isPem(key)) throw bad('tls.key', 'PEM text or bytes')
  if (passphrase !== undefined && !isText(passphrase)) throw bad('tls.passphrase', 'a string')
  if (servername !== undefined && !isText(servername)) throw bad('tls.servername', 'a string')
  if (rejectUnauthorized !== undefined && !isBoolean(rejectUnauthorized)) {
    throw bad('tls.rejectUnauthorized', 'true or false')
  }
  const tls: TlsOptions = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  }
  try {
    if (ca !== undefined || cert !== undefined || key !== undefined) createSecureContext(tlsContext(tls))
  } catch (error) {
    throw bad('tls', messageOf(error), error)
  }
  return tls
}
