import { join } from 'node:path'
import t from 'tap'
import { loadServerConfig } from '../../core/config/load-server-config.js'
import { environmentName } from '../../core/config/option.js'
import { LATER_SETTINGS } from '../../core/config/server-options.js'
import { isLoopback } from '../../core/net/loopback.js'
import { StartupError } from '../../core/errors.js'

type Env = Readonly<Record<string, string>>

const TLS = ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem']

/** The refusal as `exit code: message`, or `accepted`. */
function outcome(argv: readonly string[], env: Env = {}): string {
  try {
    loadServerConfig(argv, env)
    return 'accepted'
  } catch (error) {
    if (error instanceof StartupError) return `${error.exitCode}: ${error.message}`
    throw error
  }
}

void t.test('configuration: the defaults are those of the documentation', async (t) => {
  t.match(loadServerConfig([], {}).config, {
    role: 'all',
    host: '127.0.0.1',
    mqttPort: 1883,
    wsPort: 8083,
    httpPort: 8080,
    adminPort: 9090,
    mqttsPort: 8883,
    wssPort: 8084,
    httpsPort: 8443,
    store: './data',
    durability: 'disk',
    auth: 'token',
    tokenMaxTtl: 30 * 86_400,
    inboxMax: 1000,
    inboxMaxBytes: 16 * 1024 * 1024,
    overflow: 'reject',
    retention: 7 * 86_400,
    dedupWindow: 86_400,
    payloadMax: 256 * 1024,
    bodyMax: 16 * 1024 * 1024,
    window: 64,
    windowMax: 1024,
    sweepInterval: 10_000,
    logLevel: 'info',
  })
})

void t.test('configuration: flags over environment over file over defaults', async (t) => {
  const folder = t.testdir({ 'a.yaml': 'window: 3\ninbox-max: 30\nretention: 3d\n' })
  const file = join(folder, 'a.yaml')
  const env = { POSTRIDER_WINDOW: '2', POSTRIDER_INBOX_MAX: '20', POSTRIDER_CONFIG: file }
  const { config, where } = loadServerConfig(['--window', '1'], env)
  t.match(config, { window: 1, inboxMax: 20, retention: 3 * 86_400, windowMax: 1024 })
  t.equal(where.get('window'), '--window')
  t.equal(where.get('inboxMax'), 'POSTRIDER_INBOX_MAX')
  t.equal(where.get('retention'), `${file}: retention`)
  t.equal(where.get('windowMax'), undefined)
})

void t.test('configuration: both spellings of a flag, sizes, durations, ports that are off', async (t) => {
  const { config } = loadServerConfig(
    [
      '--inbox-max-bytes=32MiB',
      '--sweep-interval',
      '200ms',
      '--ws-port=off',
      '--mqtt-port',
      '0',
      '--store=file:/var/p',
    ],
    {},
  )
  t.match(config, { inboxMaxBytes: 32 * 1024 * 1024, sweepInterval: 200, wsPort: null, mqttPort: 0, store: '/var/p' })
})

void t.test('configuration: lists, with commas or by giving the flag again', async (t) => {
  const { config } = loadServerConfig(
    ['--trust-proxy', '10.0.0.0/8, loopback', '--trust-proxy=fd00::1', '--cors-origin', 'https://APP.example.com:443'],
    { POSTRIDER_PROXY_PROTOCOL: 'true' },
  )
  t.match(config, {
    trustProxy: ['10.0.0.0/8', 'loopback', 'fd00::1'],
    corsOrigin: ['https://app.example.com'],
    proxyProtocol: true,
  })
  t.match(loadServerConfig([], {}).config, { trustProxy: undefined, corsOrigin: undefined, proxyProtocol: false })
})

void t.test('configuration: an empty variable counts as not set', async (t) => {
  t.equal(loadServerConfig([], { POSTRIDER_WINDOW: '', POSTRIDER_WORKERS: '' }).config.window, 64)
})

void t.test('configuration: a value that cannot be names its place and what would be right', async (t) => {
  const cases: ReadonlyArray<readonly [argv: readonly string[], env: Env, expected: RegExp]> = [
    [['--mqtt-port', '70000'], {}, /^78: --mqtt-port: "70000" cannot be; it must be a port from 0 to 65535 .*or off$/],
    [['--trust-proxy', 'true'], {}, /^78: --trust-proxy: "true" cannot be; it must be addresses or ranges such as/],
    [['--trust-proxy', '10.0.0.1,'], {}, /^78: --trust-proxy/],
    [[], { POSTRIDER_CORS_ORIGIN: 'app.example.com' }, /^78: POSTRIDER_CORS_ORIGIN: .* an origin such as https:/],
    [['--cors-origin', 'https://app.example.com/path'], {}, /^78: --cors-origin/],
    [['--mqtt-port=-1'], {}, /^78: --mqtt-port/],
    [[], { POSTRIDER_WINDOW: 'many' }, /^78: POSTRIDER_WINDOW: "many" .* a whole number from 1 to 1024$/],
    [['--window', '0'], {}, /^78: --window/],
    [['--window', '1.5'], {}, /^78: --window/],
    [['--dedup-window', '0s'], {}, /^78: --dedup-window: "0s" .*from 1s to 365d/],
    [['--dedup-window', '0'], {}, /^78: --dedup-window/],
    [['--dedup-window', '1500ms'], {}, /^78: --dedup-window: .*whole seconds/],
    [['--retention', '7'], {}, /such as 90s, 24h or 30d$/],
    [['--inbox-max-bytes', '16MB'], {}, /such as 512KiB or 16MiB$/],
    [['--durability', 'memory'], {}, /one of disk, process$/],
    [['--auth', 'password'], {}, /one of token, none$/],
    [['--log-level', 'loud'], {}, /one of trace, debug/],
    [['--store', './data'], {}, /it must be file: and a folder.*, or redis:/],
    [['--store', 'redis://'], {}, /it must be file: and a folder/],
    [['--store', 'redis+cluster://a/1'], {}, /it must be file: and a folder/],
    [['--store', 'file:'], {}, /it must be file: and a folder/],
    [['--host', ' '], {}, /^78: --host/],
  ]
  for (const [argv, env, expected] of cases) t.match(outcome(argv, env), expected)
})

void t.test('configuration: combinations that cannot be', async (t) => {
  const cases: ReadonlyArray<readonly [argv: readonly string[], expected: RegExp]> = [
    [['--auth', 'none', '--host', '0.0.0.0'], /^78: --auth none: .* --host 0\.0\.0\.0/],
    [['--auth', 'none', '--host', '::'], /^78: --auth none/],
    [['--auth', 'none', '--host', 'localhost.example.com'], /^78: --auth none/],
    [['--window', '20', '--window-max', '10'], /^78: --window 20 is over --window-max 10$/],
    [['--window-max', '10'], /^78: --window \(default\) 64 is over --window-max 10$/],
    [['--payload-max', '16MiB'], /^78: --payload-max .* is over what an inbox holds/],
    [['--payload-max', '2MiB', '--body-max', '1MiB'], /^78: --payload-max .* is over --body-max/],
    [['--payload-max', '1MiB', '--uplink-max', '1MiB'], /^78: --payload-max .* is over .* --uplink-max 1048576 bytes/],
    [['--mqtt-port', 'off', '--ws-port', 'off'], /no device could connect/],
    [['--http-port', 'off'], /^78: --http-port off: nobody could push/],
    [['--tls-cert', 'c.pem'], /^78: --tls-cert: the private key of the certificate is missing; give --tls-key$/],
    [['--tls-key', 'k.pem'], /^78: --tls-key: TLS needs a certificate; give --tls-cert and --tls-key$/],
    [['--tls-client-ca', 'ca.pem'], /^78: --tls-client-ca: TLS needs a certificate/],
    [['--mqtts-port', '8883'], /^78: --mqtts-port: TLS needs a certificate/],
    [
      [...TLS, '--mqtts-port=off', '--wss-port=off', '--https-port=off'],
      /^78: --tls-cert: .* are off, so nothing would use it$/,
    ],
    [
      [...TLS, '--tls-client-ca', 'ca.pem', '--mqtts-port=off', '--wss-port=off'],
      /^78: --tls-client-ca: .* no device could show a certificate$/,
    ],
    [[...TLS, '--http-port', '8443'], /^78: --https-port \(default\) 8443 is the same port as --http-port$/],
    [[...TLS, '--http-port=off', '--https-port=off'], /^78: --http-port off: nobody could push/],
    [['--mqtt-port', '8080'], /^78: --http-port \(default\) 8080 is the same port as --mqtt-port$/],
  ]
  for (const [argv, expected] of cases) t.match(outcome(argv), expected)
  t.equal(outcome(['--auth', 'none']), 'accepted')
  t.equal(outcome(['--mqtts-port', 'off', '--http-port', '8443']), 'accepted', 'TLS is off, and so are its ports')
  t.equal(outcome([...TLS, '--mqtt-port=off', '--ws-port=off', '--http-port=off']), 'accepted', 'TLS alone')
  t.equal(outcome(['--mqtt-port', '0', '--http-port', '0', '--admin-port', '0', '--ws-port', '0']), 'accepted')
})

void t.test('configuration: unknown flags, with the nearest one', async (t) => {
  t.match(outcome(['--mqtt-prot', '1']), /^64: --mqtt-prot: no such flag; did you mean --mqtt-port\?/)
  t.match(outcome(['--whatever-this-is']), /^64: --whatever-this-is: no such flag \(postrider serve --help/)
  t.match(outcome(['-p', '1']), /^64: -p: no such flag/)
  t.match(outcome(['--window']), /^64: --window needs a value/)
  t.match(outcome(['--window', '--host', 'a']), /^64: --window needs a value/)
  t.match(outcome(['--window', '1', '--window', '2']), /^64: --window was given twice/)
})

void t.test('configuration: secrets are refused on the command line and in the file', async (t) => {
  t.match(outcome(['--token-secret', 'x'.repeat(40)]), /^64: --token-secret: secrets .* set POSTRIDER_TOKEN_SECRET$/)
  t.match(outcome(['--api-key=abc']), /^64: --api-key: secrets .* set POSTRIDER_API_KEY$/)
  t.notMatch(outcome(['--token-secret=hush-hush']), /hush/, 'and not repeated')
  const folder = t.testdir({ 'a.yaml': 'token-secret: hush-hush\n' })
  const refusal = outcome(['--config', join(folder, 'a.yaml')])
  t.match(refusal, /^78: .*a\.yaml: token-secret: secrets are not taken from this file; set POSTRIDER_TOKEN_SECRET$/)
  t.notMatch(refusal, /hush/)
})

void t.test('configuration: what a later version has is refused, wherever it is given', async (t) => {
  const folder = t.testdir(Object.fromEntries(Object.keys(LATER_SETTINGS).map((name) => [name, `${name}: 1\n`])))
  for (const name of Object.keys(LATER_SETTINGS)) {
    t.match(outcome([`--${name}`, '1']), new RegExp(`^64: --${name}: .* not in this version$`))
    t.match(outcome([], { [environmentName(name)]: '1' }), /^78: POSTRIDER_[A-Z_]+: .* not in this version$/)
    t.match(outcome(['--config', join(folder, name)]), new RegExp(`^78: .*: ${name}: .* not in this version$`))
  }
})

void t.test('configuration: a MongoDB store alone is of one process, with a bus of as many as wanted', async (t) => {
  const store = ['--store', 'mongodb://h/push?replicaSet=a']
  const bus = ['--bus', 'redis://h']
  t.equal(outcome(store), 'accepted')
  t.equal(outcome(['--store', 'mongodb+srv://u:p@h']), 'accepted')
  t.match(outcome(['--store', 'mongodb:h']), /^78: --store: .* cannot be; it must be file: and a folder/)
  t.match(outcome([...store, '--role', 'api']), /^78: --role api: .* more nodes than one need a bus: give --bus redis:/)
  t.match(outcome([...store, '--workers', '2']), /^78: --workers 2: .* more nodes than one need a bus/)
  for (const more of [[], ['--role', 'api'], ['--role', 'broker'], ['--workers', '3']])
    t.equal(outcome([...store, ...bus, ...more]), 'accepted')
  t.match(
    outcome([...store, '--durability', 'process']),
    /^78: --durability: is for a file store; MongoDB answers when/,
  )
  t.match(outcome([...store, '--redis-wait', '1']), /^78: --redis-wait: means something only with a Redis store/)
  const large = ['--payload-max', '16MiB', '--body-max', '32MiB', '--inbox-max-bytes', '64MiB']
  t.match(outcome([...store, ...large]), /^78: --payload-max .* over what a document of MongoDB holds/)
})

void t.test(
  'configuration: workers need a store of several processes, a drain needs time behind its delay',
  async (t) => {
    t.match(outcome(['--workers', '2']), /^78: --workers 2: a file store is of one process/)
    t.equal(outcome(['--workers', '1']), 'accepted')
    t.equal(outcome(['--workers', '8', '--store', 'redis://h']), 'accepted')
    t.match(outcome(['--workers', '0', '--store', 'redis://h']), /^78: --workers/)
    t.equal(outcome(['--drain-delay', '14s']), 'accepted')
    t.match(outcome(['--drain-delay', '15s']), /^78: --drain-delay: leaves no time .* --drain-deadline \(default\)/)
    t.equal(outcome(['--drain-delay', '15s', '--drain-deadline', '60s', '--drain-rate', '30/min']), 'accepted')
    t.equal(outcome(['--drain-rate', 'off']), 'accepted')
  },
)

void t.test('configuration: a role that its store or its listeners cannot serve is refused', async (t) => {
  const redis = ['--store', 'redis://h']
  for (const role of ['api', 'broker']) {
    t.equal(outcome(['--role', role, ...redis]), 'accepted')
    t.match(outcome(['--role', role]), new RegExp(`^78: --role ${role}: a file store is of one process`))
  }
  t.match(outcome(['--role', 'both', ...redis]), /^78: --role.*one of all, api, broker$/)
  t.match(outcome(['--role', 'api', '--http-port', 'off', ...redis]), /^78: --http-port off: nobody could push/)
  t.equal(outcome(['--role', 'broker', '--http-port', 'off', ...redis]), 'accepted')
  const noDevices = ['--mqtt-port', 'off', '--ws-port', 'off', ...redis]
  t.match(outcome(['--role', 'broker', ...noDevices]), /no device could connect/)
  t.equal(outcome(['--role', 'api', ...noDevices]), 'accepted')
  t.equal(
    outcome(['--role', 'api', '--mqtt-port', '8080', ...redis]),
    'accepted',
    'a listener of the other role is off',
  )
  const tls = ['--tls-cert', 'c', '--tls-key', 'k', ...redis]
  t.equal(outcome(['--role', 'api', ...tls]), 'accepted')
  t.match(
    outcome(['--role', 'api', '--https-port', 'off', ...tls]),
    /^78: --tls-cert: .*role api.*nothing would use it$/,
  )
})

void t.test('configuration: a bus of its own is for a store that others share', async (t) => {
  t.equal(outcome(['--store', 'redis://h', '--bus', 'redis://b']), 'accepted')
  t.equal(outcome(['--store', 'redis+cluster://h', '--bus', 'redis+sentinel://b/m']), 'accepted')
  t.match(outcome(['--bus', 'redis://b']), /^78: --bus: a file store is of one process/)
  t.match(outcome(['--store', 'redis://h', '--bus', 'nats://b']), /^78: --bus.*redis:\/\/host:port/)
})

void t.test('configuration: where the keys of others are', async (t) => {
  const location = (text: string): unknown => loadServerConfig(['--token-jwks', text], {}).config.tokenJwks
  t.equal(location('https://id.example/keys'), 'https://id.example/keys')
  t.equal(location('http://127.0.0.1:9/keys'), 'http://127.0.0.1:9/keys')
  t.equal(location('http://[::1]:9/keys'), 'http://[::1]:9/keys')
  t.equal(location('./keys.json'), './keys.json')
  t.equal(location('file:///etc/keys.json'), '/etc/keys.json')
  t.equal(location('file:keys.json'), 'keys.json')
  for (const text of [
    'http://id.example/keys',
    'http://localhost.example/k',
    'ftp://h/k',
    'data:,x',
    'https://',
    ' ',
  ]) {
    t.match(outcome(['--token-jwks', text]), /^78: --token-jwks: .* must be an https/, text)
  }
  const refusal = outcome(['--token-jwks', 'https://user:hush-hush@id.example/keys'])
  t.match(refusal, /^78: --token-jwks: "https:\/\/\[secret\]@id\.example\/keys" cannot be/)
  for (const url of ['redis://user:hush-hush@h/x', 'redis+sentinel://h?sentinelPassword=hush', 'mongodb://u:hush@/db'])
    t.match(outcome(['--store', url]), /^78: --store(?!.*hush)/)
  t.match(outcome(['--store', 'redis://h', '--bus', 'redis://u:hush@h/x']), /^78: --bus(?!.*hush)/)
  t.match(outcome(['--token-jwks', 'k', '--auth', 'none']), /^78: --token-jwks: .*--auth none/)
  t.match(outcome(['--token-issuer', 'x']), /^78: --token-issuer: .*--token-jwks, which is not set$/)
  t.match(outcome(['--token-audience', 'x']), /^78: --token-audience: /)
})

void t.test('configuration: a bad value is repeated on one line, and not endlessly', async (t) => {
  const refusal = outcome(['--window', `1\n{"level":"fatal"}\u001b[2J\u2028${'x'.repeat(10_000)}`])
  for (const character of ['\n', '\u001b', '\u2028']) t.notOk(refusal.includes(character))
  t.ok(refusal.length < 500)
})

void t.test('configuration: a file that is not right says where', async (t) => {
  const folder = t.testdir({
    'broken.yaml': 'window: [1\n',
    'list.yaml': '- window\n',
    'slip.yaml': 'windw: 1\n',
    'nested.yaml': 'window: {min: 1}\n',
    'none.yaml': 'window:\n',
    'bad.yaml': 'window: -1\n',
    'twice.yaml': 'window: 1\nwindow: 2\n',
    'empty.yaml': '# nothing\n',
    'types.yaml': 'mqtt-port: 0\nws-port: off\nauth: none\nsweep-interval: 1s\n',
  })
  const load = (name: string): string => outcome(['--config', join(folder, name)])
  t.match(load('broken.yaml'), /^78: .*broken\.yaml: not valid YAML: .*line/)
  t.match(load('list.yaml'), /list\.yaml: must be a map of settings/)
  t.match(load('slip.yaml'), /slip\.yaml: windw: no such setting; did you mean window\?$/)
  t.match(load('nested.yaml'), /nested\.yaml: window: must be one value, not a list or map$/)
  t.match(load('none.yaml'), /none\.yaml: window: must be one value, not nothing$/)
  t.match(load('bad.yaml'), /bad\.yaml: window: "-1" cannot be; it must be a whole number/)
  t.match(load('twice.yaml'), /twice\.yaml: not valid YAML/)
  t.match(load('absent.yaml'), /--config .*absent\.yaml: cannot be read/)
  t.equal(load('empty.yaml'), 'accepted')
  t.match(loadServerConfig(['--config', join(folder, 'types.yaml')], {}).config, {
    mqttPort: 0,
    wsPort: null,
    auth: 'none',
  })
})

void t.test('configuration: variables that mean nothing are named, those of Kubernetes are not', async (t) => {
  const env = {
    POSTRIDER_WINDWO: '1',
    POSTRIDER_API_KEY: 'x',
    POSTRIDER_TOKEN_SECRET: 'x',
    POSTRIDER_URL: 'http://h',
    POSTRIDER_SERVICE_HOST: '10.0.0.1',
    POSTRIDER_SERVICE_PORT_MQTT: '1883',
    POSTRIDER_PORT: 'tcp://10.0.0.1:1883',
    POSTRIDER_PORT_1883_TCP_ADDR: '10.0.0.1',
    POSTRIDER_PUSH_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
    PATH: '/bin',
  }
  t.same(loadServerConfig([], env).unknownVariables, ['POSTRIDER_WINDWO'])
})

void t.test('configuration: words that are no flags are handed on', async (t) => {
  t.same(loadServerConfig(['now', '--window', '2', '--', '--host'], {}).arguments, ['now', '--host'])
})

void t.test('loopback: only addresses that other machines cannot reach', async (t) => {
  for (const host of [
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '0:0:0:0:0:0:0:1',
    'localhost',
    'LOCALHOST',
    '::ffff:127.0.0.1',
  ]) {
    t.ok(isLoopback(host), host)
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '127.0.0.1.example.com',
    'localhost.',
    '::2',
    '',
    '1270.0.0.1',
    '::ffff:10.0.0.1',
  ]) {
    t.notOk(isLoopback(host), host)
  }
})
