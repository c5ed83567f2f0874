import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../core/clock.js'
import { CertificateCounters, openCertificates, type Certificates } from '../../core/tls/certificates.js'
import type { TlsMaterial } from '../../core/tls/material.js'
import { until } from '../support/broker/node.js'
import { Authority, type Pair } from '../support/certificates.js'
import { collectingLog } from '../support/log.js'

const authority = new Authority()
const DAY = 86_400_000

interface Rig {
  readonly certificates: Certificates
  readonly counters: CertificateCounters
  /** What was logged, as `level: message`. */
  readonly logged: readonly string[]
  /** What the users of the certificates were given. */
  readonly given: TlsMaterial[]
  write(pair: Partial<Pair>): Promise<void>
}

async function open(t: Test, pair: Pair, pollMs = 3_600_000): Promise<Rig> {
  const folder = t.testdir({ 'cert.pem': pair.cert, 'key.pem': pair.key })
  const { log, entries } = collectingLog()
  const counters = new CertificateCounters()
  const certificates = await openCertificates({
    files: {
      cert: { where: '--tls-cert', path: join(folder, 'cert.pem') },
      key: { where: '--tls-key', path: join(folder, 'key.pem') },
      clientCa: null,
    },
    clock: systemClock,
    log,
    counters,
    pollMs,
  })
  t.teardown(() => certificates.stop())
  const given: TlsMaterial[] = []
  certificates.onChange((material) => given.push(material))
  return {
    certificates,
    counters,
    get logged() {
      return entries.map(({ level, msg }) => `${String(level)}: ${String(msg)}`)
    },
    given,
    async write({ cert, key }) {
      for (const [name, text] of [
        ['cert.pem', cert],
        ['key.pem', key],
      ] as const) {
        if (text === undefined) continue
        await writeFile(join(folder, `${name}.new`), text)
        await rename(join(folder, `${name}.new`), join(folder, name))
      }
    },
  }
}

void t.test('certificates: a new pair is taken when asked to look, and told to who uses it', async (t) => {
  const first = authority.server()
  const rig = await open(t, first)
  const { certificates, counters, given } = rig
  t.equal(await certificates.reload(), 'unchanged')
  t.same(given, [])
  const second = authority.server()
  await rig.write(second)
  t.equal(certificates.current.cert, first.cert, 'nobody has looked yet')
  t.equal(await certificates.reload(), 'changed')
  t.equal(certificates.current.cert, second.cert)
  t.same(
    given.map(({ cert }) => cert),
    [second.cert],
  )
  t.same(counters.reloads, { changed: 1, failed: 0 })
  t.same(rig.logged, ['info: new TLS certificate taken'])
})

void t.test('certificates: a pair that cannot be used changes nothing, and is told each time one asks', async (t) => {
  const first = authority.server()
  const rig = await open(t, first)
  const { certificates, counters, given } = rig
  for (const bad of [{ cert: 'nonsense' }, { cert: authority.server().cert }, { cert: first.cert, key: 'nonsense' }]) {
    await rig.write(bad)
    t.equal(await certificates.reload(), 'failed')
  }
  t.equal(await certificates.reload(), 'failed')
  t.equal(certificates.current.cert, first.cert)
  t.same(given, [])
  t.same(counters.reloads, { changed: 0, failed: 4 })
  t.same(new Set(rig.logged), new Set(['error: new TLS files cannot be used; the old ones are served on']))
  await rig.write(first)
  t.equal(await certificates.reload(), 'unchanged', 'the old files are back')
})

void t.test('certificates: a change is found without being told', async (t) => {
  const rig = await open(t, authority.server(), 200)
  const second = authority.server()
  await rig.write(second)
  await until('the new certificate', () => rig.certificates.current.cert === second.cert)
  t.equal(rig.given.length, 1)
  t.notMatch(rig.logged.join(), /error/, 'the moment between the two files is not complained of')
  t.equal(rig.counters.reloads.failed, 0)
})

void t.test('certificates: what stays wrong is complained of once, until it changes', async (t) => {
  const rig = await open(t, authority.server(), 20)
  await rig.write({ cert: 'nonsense' })
  await until('the complaint', () => rig.counters.reloads.failed === 1)
  const looks = 5
  await new Promise((resolve) => setTimeout(resolve, looks * 20))
  t.equal(rig.counters.reloads.failed, 1)
  await rig.write({ cert: 'other nonsense' })
  await until('another complaint', () => rig.counters.reloads.failed === 2)
  t.equal(rig.logged.filter((line) => line.startsWith('error')).length, 2)
})

void t.test(
  'certificates: one that is about to end, has ended or has not begun is warned of, and served',
  async (t) => {
    const now = Date.now()
    for (const [times, warning] of [
      [{ notAfter: now + 30 * DAY }, null],
      [{ notAfter: now + DAY }, 'warn: the TLS certificate expires soon'],
      [
        { notBefore: now - 2 * DAY, notAfter: now - DAY },
        'warn: the TLS certificate has expired: clients will refuse it',
      ],
      [{ notBefore: now + DAY }, 'warn: the TLS certificate is not valid yet: clients will refuse it'],
    ] as const) {
      const { logged } = await open(t, authority.server(times))
      t.same(logged, warning === null ? [] : [warning])
    }
  },
)
