// A server's certificate, its key and the authorities of its clients, read from files and found to belong together.

import { createHash, createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'

/** A file, and the setting that names it, for messages. */
export interface NamedFile {
  readonly path: string
  /** `--tls-cert`, `POSTRIDER_TLS_CERT` … */
  readonly where: string
}

export interface TlsFiles {
  /** PEM: the server's certificate first, then those between it and its authority. */
  readonly cert: NamedFile
  /** PEM, not encrypted. */
  readonly key: NamedFile
  /** PEM: the authorities whose client certificates are accepted. Null: none are asked for. */
  readonly clientCa: NamedFile | null
}

export interface TlsMaterial {
  readonly cert: string
  readonly key: string
  readonly clientCa: string | null
  /** Of everything in the files: another one means that something has changed. */
  readonly digest: string
  /** The server certificate's time, milliseconds UTC. */
  readonly notBefore: number
  readonly expiresAt: number
  /** A name or address that the certificate is for; null: none that one could write down. */
  readonly host: string | null
  /** The last certificate of the file signs itself: whoever trusts it needs this file and no other. */
  readonly endsSelfSigned: boolean
}

/** The files cannot be used; `message` names the setting, the file and what would be right. Holds nothing of the key. */
export class TlsMaterialError extends Error {
  /** Of all files, when they could be read: the same mistake needs to be told once only. */
  readonly digest: string | null

  constructor(message: string, options: { readonly cause?: unknown; readonly digest?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TlsMaterialError'
    this.digest = options.digest ?? null
  }
}

/** What the handshake offers. Certificates alone are not enough to tell whether OpenSSL takes them. */
export const MIN_VERSION = 'TLSv1.2'

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const PEM_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/

const READ_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
  EISDIR: 'it is a folder',
}

const place = ({ where, path }: NamedFile): string => `${where} ${path}`
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

async function read(file: NamedFile): Promise<string> {
  try {
    return await readFile(file.path, 'utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    throw new TlsMaterialError(`${place(file)}: cannot be read: ${READ_ERRORS[code] ?? messageOf(cause)}`, { cause })
  }
}

function certificatesIn(pem: string, file: NamedFile): readonly [X509Certificate, ...X509Certificate[]] {
  let found: X509Certificate[]
  try {
    found = (pem.match(PEM_CERTIFICATE) ?? []).map((block) => new X509Certificate(block))
  } catch (cause) {
    throw new TlsMaterialError(`${place(file)}: a certificate in it cannot be read: ${messageOf(cause)}`, { cause })
  }
  const [first, ...rest] = found
  if (first !== undefined) return [first, ...rest]
  const hint = PEM_KEY.test(pem) ? ' but a private key' : ''
  throw new TlsMaterialError(
    `${place(file)}: holds no certificate${hint}; a PEM file with -----BEGIN CERTIFICATE----- is needed`,
  )
}

function keyIn(pem: string, file: NamedFile): KeyObject {
  if (pem.includes('ENCRYPTED')) {
    throw new TlsMaterialError(
      `${place(file)}: the key is encrypted, and nobody can be asked for its password; "openssl pkey -in … -out …" decrypts it`,
    )
  }
  if (!PEM_KEY.test(pem)) {
    const hint = pem.includes('BEGIN CERTIFICATE') ? ' but a certificate' : ''
    throw new TlsMaterialError(
      `${place(file)}: holds no private key${hint}; a PEM file with -----BEGIN PRIVATE KEY----- is needed`,
    )
  }
  try {
    return createPrivateKey(pem)
  } catch {
    // The reason of the library is left out: it may quote the file.
    throw new TlsMaterialError(`${place(file)}: the private key in it cannot be read`)
  }
}

function checkPair(
  [leaf, ...others]: readonly [X509Certificate, ...X509Certificate[]],
  key: KeyObject,
  files: TlsFiles,
): void {
  if (leaf.checkPrivateKey(key)) return
  throw new TlsMaterialError(
    others.some((other) => other.checkPrivateKey(key))
      ? `${place(files.cert)}: the certificate that belongs to ${place(files.key)} must be the first in the file`
      : `${place(files.key)}: is not the key of the certificate in ${place(files.cert)}`,
  )
}

const isSelfSigned = (certificate: X509Certificate): boolean =>
  certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)

/** The first alternative name of a host: `DNS:a.example, IP Address:192.0.2.1`. */
function hostOf({ subjectAltName = '' }: X509Certificate): string | null {
  return /(?:DNS|IP Address):([A-Za-z0-9.:-]+)(?:,|$)/.exec(subjectAltName)?.[1] ?? null
}

/** Reads the files and checks all that can be checked without a handshake. Rejects with TlsMaterialError. */
export async function readTlsMaterial(files: TlsFiles): Promise<TlsMaterial> {
  const [cert, key, clientCa] = await Promise.all([
    read(files.cert),
    read(files.key),
    files.clientCa === null ? null : read(files.clientCa),
  ])
  const hash = createHash('sha256')
  for (const text of [cert, key, clientCa ?? '']) hash.update(`${text.length}:`).update(text)
  const digest = hash.digest('base64')
  try {
    const chain = certificatesIn(cert, files.cert)
    checkPair(chain, keyIn(key, files.key), files)
    if (files.clientCa !== null) certificatesIn(clientCa ?? '', files.clientCa)
    const [leaf] = chain
    const material: TlsMaterial = {
      cert,
      key,
      clientCa,
      digest,
      notBefore: Date.parse(leaf.validFrom),
      expiresAt: Date.parse(leaf.validTo),
      host: hostOf(leaf),
      endsSelfSigned: isSelfSigned(chain.at(-1) ?? leaf),
    }
    accepted(material, files)
    return material
  } catch (error) {
    if (!(error instanceof TlsMaterialError)) throw error
    throw new TlsMaterialError(error.message, { cause: error.cause, digest })
  }
}

/** OpenSSL has the last word: keys that are too short, curves that it does not know. */
function accepted({ cert, key, clientCa }: TlsMaterial, files: TlsFiles): void {
  try {
    createSecureContext({ cert, key, minVersion: MIN_VERSION, ...(clientCa === null ? {} : { ca: clientCa }) })
  } catch (cause) {
    throw new TlsMaterialError(`${place(files.cert)}: OpenSSL does not take it: ${messageOf(cause)}`, { cause })
  }
}
