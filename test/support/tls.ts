// Certificates as a server has them, in files, and sockets with TLS to it.

import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { systemClock } from '../../core/clock.js'
import { createLogger } from '../../core/log.js'
import { CertificateCounters, openCertificates, type Certificates } from '../../core/tls/certificates.js'
import { until } from './broker/node.js'
import type { Pair } from './certificates.js'

/** PEM files in a folder that is removed at the end of the test. */
export class TlsFolder {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async make(t: Test, files: Readonly<Record<string, string>>): Promise<TlsFolder> {
    const folder = new TlsFolder(await mkdtemp(join(tmpdir(), 'postrider-tls-')))
    t.teardown(() => rm(folder.path, { recursive: true, force: true }))
    for (const [name, text] of Object.entries(files)) await folder.write(name, text)
    return folder
  }

  file(name: string): string {
    return join(this.path, name)
  }

  /** In one step, as whoever renews certificates should do it. */
  async write(name: string, text: string): Promise<void> {
    await writeFile(this.file(`${name}.new`), text, { mode: 0o600 })
    await rename(this.file(`${name}.new`), this.file(name))
  }

  async writePair({ cert, key }: Pair): Promise<void> {
    await this.write('cert.pem', cert)
    await this.write('key.pem', key)
  }
}

/** A server's certificate, and what its devices' certificates are signed by. Nothing looks at the files unless asked to. */
export async function testCertificates(
  t: Test,
  pair: Pair,
  clientCa: string | null = null,
): Promise<{ readonly certificates: Certificates; readonly folder: TlsFolder }> {
  const folder = await TlsFolder.make(t, {
    'cert.pem': pair.cert,
    'key.pem': pair.key,
    ...(clientCa === null ? {} : { 'ca.pem': clientCa }),
  })
  const certificates = await openCertificates({
    files: {
      cert: { where: '--tls-cert', path: folder.file('cert.pem') },
      key: { where: '--tls-key', path: folder.file('key.pem') },
      clientCa: clientCa === null ? null : { where: '--tls-client-ca', path: folder.file('ca.pem') },
    },
    clock: systemClock,
    log: createLogger({ level: 'silent' }),
    counters: new CertificateCounters(),
    pollMs: 3_600_000,
  })
  t.teardown(() => certificates.stop())
  return { certificates, folder }
}

/** Shakes hands; rejects when that fails. */
export async function tlsConnect(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ...options })
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed in the handshake')))
  })
  socket.on('error', () => {})
  return socket
}

/** A plain socket, connected, with bytes written to it. It is destroyed at the end of the test. */
export async function plainSocket(t: Test, port: number, bytes: Uint8Array | string = ''): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port, noDelay: true })
  t.teardown(() => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  socket.on('error', () => {})
  if (bytes.length > 0) socket.write(bytes)
  return socket
}

/** Waits until the other side has closed the socket; what it still sent. */
export async function untilClosed(socket: Socket, ms = 5_000): Promise<Buffer> {
  const chunks: Buffer[] = []
  let closed = socket.destroyed
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('end', () => socket.end())
  socket.on('close', () => {
    closed = true
  })
  await until('the server to close the socket', () => closed, ms)
  return Buffer.concat(chunks)
}
