// Runs the lines of docs/tls.md: the blocks under a comment `tested: name`, as a reader would copy them, in a folder of their
// own. Only the ports differ, because tests do not take the well-known ones.

import { spawnSync } from 'node:child_process'
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Child } from '../support/child.js'
import { until } from '../support/broker/node.js'
import { readRepositoryFile, repositoryRoot } from '../support/repository.js'
import { tlsConnect } from '../support/tls.js'

const tools = ['openssl', 'curl', 'mosquitto_sub']
const missing = tools.filter((tool) => spawnSync('which', [tool]).status !== 0)
// Older ones cannot copy the extensions of a request.
const isOld =
  !missing.includes('openssl') && !/^OpenSSL (?:[3-9]|\d\d)/.test(spawnSync('openssl', ['version']).stdout.toString())
const reasons = [
  ...missing.map((tool) => `${tool} is not installed`),
  ...(isOld ? ['openssl is older than version 3'] : []),
]
const needs = { skip: reasons.length > 0 && reasons.join(', ') }

/** The block of shell lines under `<!-- tested: name -->`. */
function block(name: string): string {
  const match = new RegExp(`<!-- tested: ${name} -->\\n\`\`\`sh\\n([\\s\\S]*?)\`\`\``).exec(
    readRepositoryFile('docs/tls.md'),
  )
  if (match?.[1] === undefined) throw new RangeError(`docs/tls.md has no block "${name}"`)
  return match[1]
}

void t.test(
  'TLS page: its lines make the certificates, and devices with a token and with a certificate receive',
  needs,
  async (t) => {
    const folder = t.testdir({})
    // As in the repository: npx finds the command that npm has linked.
    symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'))
    const ports = { mqtts: '8883', https: '8443' }
    const run = async (name: string): Promise<string> => {
      const lines = block(name).replaceAll('8883', ports.mqtts).replaceAll('8443', ports.https)
      const child = new Child(t, 'bash', ['-ec', lines], { cwd: folder })
      t.same(await child.exited, { code: 0, signal: null }, `${name}: ${child.stderr}`)
      return child.stdout
    }
    await run('authority')

    const any = ['MQTT', 'WS', 'HTTP', 'ADMIN', 'MQTTS', 'WSS', 'HTTPS'].map((name) => [`POSTRIDER_${name}_PORT`, '0'])
    // `exec`, so that the signal at the end is for the server and not for a shell around it.
    const serve = block('serve').replace('npx postrider', 'exec node_modules/.bin/postrider')
    const server = new Child(t, 'bash', ['-ec', serve], { cwd: folder, env: Object.fromEntries(any) })
    await server.until('the ready line', ({ stdout }) => stdout.includes('\n'))
    const [, mqtts = '', https = ''] = /"mqtts":(\d+).*"https":(\d+)/.exec(server.stdout) ?? []
    Object.assign(ports, { mqtts, https })

    t.match(await run('token'), /"seq":1[^]*hello\n$/)
    t.match(await run('mosquitto'), /"seq":2[^]*hello again\n$/)
    t.match(await run('certificate'), /"seq":3[^]*for the certificate\n$/)

    const ca = readFileSync(join(folder, 'tls/ca.pem'), 'utf8')
    const serial = async (): Promise<string> => {
      const socket = await tlsConnect(Number(mqtts), { ca })
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber
    }
    const first = await serial()
    await run('renew')
    await until('the new certificate, without being told', async () => (await serial()) !== first, 20_000)
    t.same(await server.kill('SIGTERM'), { code: 0, signal: null })
  },
)
