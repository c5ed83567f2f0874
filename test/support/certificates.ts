// An authority for the tests, and the certificates that it issues: X.509 v3 (RFC 5280) in DER, with Node's own keys and
// signatures. It also issues what no real one would: expired, for two names, with the wrong purpose.

import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'

export interface Pair {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface CertificateOptions {
  /** One, none or many. */
  readonly commonName?: string | readonly string[]
  /** Host names, for servers. */
  readonly hosts?: readonly string[]
  readonly usage?: 'server' | 'client'
  /** Milliseconds UTC; certificates know seconds. */
  readonly notBefore?: number
  readonly notAfter?: number
  readonly keys?: 'ec' | 'rsa'
}

const DAY = 86_400_000

// --- DER: tag, length, value

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content])
  const length = content.length < 0x100 ? [0x81, content.length] : [0x82, content.length >> 8, content.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts)
const set = (...parts: readonly Uint8Array[]): Buffer => der(0x31, ...parts)
const bitString = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes)
const octetString = (...parts: readonly Uint8Array[]): Buffer => der(0x04, ...parts)
const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text, 'utf8'))
const TRUE = der(0x01, Buffer.from([0xff]))
const NULL = der(0x05)

/** `2.5.4.3` */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return der(0x06, Buffer.from(bytes))
}

/** UTCTime until 2049, then GeneralizedTime. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return text < '2050' ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text))
}

// --- X.509

const COMMON_NAME = oid('2.5.4.3')

const nameOf = (commonNames: readonly string[]): Buffer =>
  sequence(...commonNames.map((text) => set(sequence(COMMON_NAME, utf8(text)))))

const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [TRUE] : []), octetString(value))

const PURPOSES = { server: oid('1.3.6.1.5.5.7.3.1'), client: oid('1.3.6.1.5.5.7.3.2') }

function alternativeName(host: string): Buffer {
  const isAddress = /^[0-9.]+$/.test(host)
  return isAddress ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host))
}

function extensionsOf(options: CertificateOptions, isAuthority: boolean): readonly Buffer[] {
  if (isAuthority) {
    return [
      extension('2.5.29.19', true, sequence(TRUE)),
      // keyCertSign and cRLSign
      extension('2.5.29.15', true, der(0x03, Buffer.from([1, 0x06]))),
    ]
  }
  const { hosts = [], usage } = options
  return [
    ...(usage === undefined ? [] : [extension('2.5.29.37', false, sequence(PURPOSES[usage]))]),
    ...(hosts.length === 0 ? [] : [extension('2.5.29.17', false, sequence(...hosts.map(alternativeName)))]),
  ]
}

const ALGORITHMS = {
  ec: sequence(oid('1.2.840.10045.4.3.2')),
  rsa: sequence(oid('1.2.840.113549.1.1.11'), NULL),
}

const pem = (label: string, bytes: Buffer): string =>
  `-----BEGIN ${label}-----\n${bytes.toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`

function newKeys(kind: 'ec' | 'rsa'): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return kind === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 })
}

const listOf = (names: CertificateOptions['commonName']): readonly string[] =>
  names === undefined ? [] : typeof names === 'string' ? [names] : names

function certificate(
  options: CertificateOptions,
  subjectKey: KeyObject,
  issuer: { readonly name: Buffer; readonly key: KeyObject; readonly kind: 'ec' | 'rsa' },
  isAuthority: boolean,
): string {
  const { notBefore = Date.now() - DAY, notAfter = Date.now() + 30 * DAY } = options
  const serial = randomBytes(12)
  serial[0] = 1
  const extensions = extensionsOf(options, isAuthority)
  const toSign = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ALGORITHMS[issuer.kind],
    issuer.name,
    sequence(time(notBefore), time(notAfter)),
    nameOf(listOf(options.commonName)),
    subjectKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  )
  return pem('CERTIFICATE', sequence(toSign, ALGORITHMS[issuer.kind], bitString(sign('sha256', toSign, issuer.key))))
}

const keyPem = (key: KeyObject): string => String(key.export({ type: 'pkcs8', format: 'pem' }))

export class Authority {
  /** PEM. */
  readonly cert: string
  readonly #name: Buffer
  readonly #key: KeyObject

  constructor(commonName = 'an authority of the tests') {
    const { publicKey, privateKey } = newKeys('ec')
    this.#name = nameOf([commonName])
    this.#key = privateKey
    this.cert = certificate({ commonName }, publicKey, { name: this.#name, key: privateKey, kind: 'ec' }, true)
  }

  issue(options: CertificateOptions): Pair {
    const { publicKey, privateKey } = newKeys(options.keys ?? 'ec')
    const issuer = { name: this.#name, key: this.#key, kind: 'ec' } as const
    return { cert: certificate(options, publicKey, issuer, false), key: keyPem(privateKey) }
  }

  /** For a server at localhost. */
  server(options: CertificateOptions = {}): Pair {
    return this.issue({ commonName: 'localhost', hosts: ['localhost', '127.0.0.1'], usage: 'server', ...options })
  }

  /** For a device. */
  device(id: string, options: CertificateOptions = {}): Pair {
    return this.issue({ commonName: id, usage: 'client', ...options })
  }
}

/** Signed by its own key, for a server at localhost. */
export function selfSigned(options: CertificateOptions = {}): Pair {
  const kind = options.keys ?? 'ec'
  const { publicKey, privateKey } = newKeys(kind)
  const all = { commonName: 'localhost', hosts: ['localhost', '127.0.0.1'], ...options }
  const issuer = { name: nameOf(listOf(all.commonName)), key: privateKey, kind }
  return { cert: certificate(all, publicKey, issuer, false), key: keyPem(privateKey) }
}
