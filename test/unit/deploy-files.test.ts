import tap from 'tap'
import { parse } from 'yaml'
import { environmentName, settingName } from '../../core/config/option.js'
import { SECRET_SETTINGS } from '../../core/config/secret-settings.js'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { EXIT } from '../../core/exit-codes.js'
import { at, entries, string } from '../support/kubernetes/chart.js'
import { readRepositoryFile } from '../support/repository.js'

const known = new Set([
  ...Object.keys(SERVER_OPTIONS).map((key) => environmentName(settingName(key))),
  ...SECRET_SETTINGS.map(({ setting }) => environmentName(setting)),
])

await tap.test('compose file: its nodes get settings that exist, and stop in the time that they take', async (t) => {
  const file: unknown = parse(readRepositoryFile('compose.yaml'), { merge: true })
  const nodes = entries(file, 'services').filter(([, service]) => string(service, 'build') !== '')
  t.same(
    nodes.map(([name]) => name),
    ['api', 'broker-1', 'broker-2'],
  )
  for (const [name, node] of nodes) {
    for (const [variable, value] of entries(node, 'environment')) {
      t.ok(known.has(variable), `${name}: ${variable}`)
      if (/SECRET|API_KEY/.test(variable)) t.match(String(value), /^\$\{[A-Z_]+:\?/, 'a secret is not in the file')
    }
    t.ok(Number.parseInt(string(node, 'stop_grace_period'), 10) * 1_000 > SERVER_OPTIONS.drainDeadline.default)
    t.equal(at(node, 'read_only'), true)
  }
  const ports = entries(file, 'services').flatMap(([, service]) =>
    entries(service, 'ports').map(([, port]) => String(port)),
  )
  t.ok(ports.length > 4)
  t.same(
    ports.filter((port) => !port.startsWith('127.0.0.1:')),
    [],
    'reached from this machine alone',
  )
})

await tap.test('systemd unit: it waits for the drain, and starts again only where that can help', async (t) => {
  const lines = readRepositoryFile('deploy/postrider.service').split('\n')
  const value = (key: string): string => lines.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1) ?? ''
  t.ok(Number(value('TimeoutStopSec')) * 1_000 > SERVER_OPTIONS.drainDeadline.default)
  const refused = value('RestartPreventExitStatus').split(' ').map(Number)
  const codes = new Set<number>(Object.values(EXIT).map(({ code }) => code))
  t.ok(refused.every((code) => codes.has(code)))
  const page = readRepositoryFile('docs/operations.md')
  const said = /On ([0-9, and]+) somebody must change something first/.exec(page)?.[1] ?? ''
  t.same(refused, said.split(/, | and /).map(Number), 'as docs/operations.md says')
  for (const [, name = ''] of value('Environment').matchAll(/(POSTRIDER_[A-Z_]+)=/g)) t.ok(known.has(name), name)
})

await tap.test('image: it names the ports that the server has, and runs as the user that the chart says', async (t) => {
  const file = readRepositoryFile('Dockerfile')
  const ports = (/^EXPOSE (.+)$/m.exec(file)?.[1] ?? '').split(' ').map(Number)
  const { mqttPort, wsPort, httpPort, mqttsPort, wssPort, httpsPort, adminPort } = SERVER_OPTIONS
  const preset = [mqttPort, wsPort, httpPort, mqttsPort, wssPort, httpsPort, adminPort].map((option) => option.default)
  t.same(ports, preset)
  const user = /^USER (\d+):\d+$/m.exec(file)?.[1] ?? ''
  t.match(readRepositoryFile('k8s/templates/_pod.tpl'), `runAsUser: ${user}\n`)
})
