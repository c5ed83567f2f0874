import { createPrivateKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readTlsMaterial, TlsMaterialError, type TlsFiles } from '../../core/tls/material.js'
import { Authority, selfSigned } from '../support/certificates.js'

const authority = new Authority()
const server = authority.server()

/** The files as settings name them. */
function filesIn(folder: string, clientCa: string | null = null): TlsFiles {
  const file = (where: string, name: string): TlsFiles['cert'] => ({ where, path: join(folder, name) })
  return {
    cert: file('--tls-cert', 'cert.pem'),
    key: file('--tls-key', 'key.pem'),
    clientCa: clientCa === null ? null : file('--tls-client-ca', clientCa),
  }
}

async function refusal(t: Test, files: TlsFiles): Promise<string> {
  const error: unknown = await readTlsMaterial(files).then(
    () => null,
    (reason: unknown) => reason,
  )
  t.ok(error instanceof TlsMaterialError, String(error))
  return error instanceof Error ? error.message : ''
}

void t.test('certificates of the tests: Node reads them as what they were made for', async (t) => {
  const leaf = new X509Certificate(server.cert)
  const root = new X509Certificate(authority.cert)
  t.ok(root.ca)
  t.notOk(leaf.ca)
  t.ok(leaf.checkIssued(root))
  t.ok(leaf.verify(root.publicKey))
  t.equal(leaf.checkHost('localhost'), 'localhost')
  t.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1')
  t.equal(leaf.subject, 'CN=localhost')
  const two = new X509Certificate(authority.device('', { commonName: ['a', 'b'], keys: 'rsa' }).cert)
  t.equal(two.subject, 'CN=a\nCN=b')
  const old = new X509Certificate(authority.device('x', { notBefore: 0, notAfter: 1_000 }).cert)
  t.equal(Date.parse(old.validTo), 1_000)
})

void t.test('TLS files: what belongs together is taken', async (t) => {
  const folder = t.testdir({
    'cert.pem': `a comment\n${server.cert}\n${authority.cert}`,
    'key.pem': server.key,
    'ca.pem': authority.cert + new Authority('another').cert,
  })
  const material = await readTlsMaterial(filesIn(folder, 'ca.pem'))
  t.equal(material.expiresAt, Date.parse(new X509Certificate(server.cert).validTo))
  t.equal(material.host, 'localhost')
  t.ok(material.endsSelfSigned, 'the authority is in the file')
  t.match(material.clientCa, /BEGIN CERTIFICATE/)
  t.not((await readTlsMaterial(filesIn(folder))).digest, material.digest)

  const own = selfSigned({ keys: 'rsa' })
  const other = t.testdir({ 'cert.pem': own.cert, 'key.pem': own.key })
  t.match(await readTlsMaterial(filesIn(other)), { endsSelfSigned: true, clientCa: null })
  const issued = t.testdir({ 'cert.pem': server.cert, 'key.pem': server.key })
  t.match(await readTlsMaterial(filesIn(issued)), { endsSelfSigned: false })
  for (const [hosts, host] of [
    [['192.0.2.1', 'a.example'], '192.0.2.1'],
    [['*.example', 'a.example'], 'a.example'],
    [[], null],
  ] as const) {
    const pair = authority.server({ hosts })
    const named = t.testdir({ 'cert.pem': pair.cert, 'key.pem': pair.key })
    t.equal((await readTlsMaterial(filesIn(named))).host, host)
  }
})

void t.test('TLS files: what cannot be used is told by setting, file and what would be right', async (t) => {
  const encrypted = createPrivateKey(server.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'secret',
  })
  const cases: ReadonlyArray<readonly [what: string, files: Record<string, string>, expected: RegExp]> = [
    [
      'no certificate file',
      { 'key.pem': server.key },
      /^--tls-cert .*cert\.pem: cannot be read: there is no such file$/,
    ],
    ['no key file', { 'cert.pem': server.cert }, /^--tls-key .*key\.pem: cannot be read: there is no such file$/],
    [
      'files exchanged',
      { 'cert.pem': server.key, 'key.pem': server.cert },
      /^--tls-cert .*cert\.pem: holds no certificate but a private key; a PEM file/,
    ],
    [
      'a certificate for a key',
      { 'cert.pem': server.cert, 'key.pem': server.cert },
      /^--tls-key .*key\.pem: holds no private key but a certificate;/,
    ],
    ['an empty file', { 'cert.pem': '', 'key.pem': server.key }, /^--tls-cert .*: holds no certificate; a PEM file/],
    [
      'a broken certificate',
      { 'cert.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', 'key.pem': server.key },
      /^--tls-cert .*: a certificate in it cannot be read/,
    ],
    [
      'a broken key',
      { 'cert.pem': server.cert, 'key.pem': '-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----' },
      /^--tls-key .*: the private key in it cannot be read$/,
    ],
    [
      'an encrypted key',
      { 'cert.pem': server.cert, 'key.pem': String(encrypted) },
      /^--tls-key .*: the key is encrypted.*openssl pkey/,
    ],
    [
      'the key of another certificate',
      { 'cert.pem': server.cert, 'key.pem': authority.server().key },
      /^--tls-key .*key\.pem: is not the key of the certificate in --tls-cert .*cert\.pem$/,
    ],
    [
      'a chain the wrong way round',
      { 'cert.pem': authority.cert + server.cert, 'key.pem': server.key },
      /^--tls-cert .*: the certificate that belongs to --tls-key .* must be the first in the file$/,
    ],
  ]
  for (const [what, files, expected] of cases) t.match(await refusal(t, filesIn(t.testdir(files))), expected, what)

  const folder = t.testdir({ 'cert.pem': server.cert, 'key.pem': server.key, 'ca.pem': server.key, folder: {} })
  t.match(await refusal(t, filesIn(folder, 'ca.pem')), /^--tls-client-ca .*ca\.pem: holds no certificate but a private/)
  t.match(await refusal(t, filesIn(folder, 'folder')), /^--tls-client-ca .*: cannot be read: it is a folder$/)
})
