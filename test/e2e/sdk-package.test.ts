import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { readRepositoryFile, repositoryRoot, sectionOf } from '../support/repository.js'

const run = promisify(execFile)

/** An empty folder in which the packed package is installed, with its dependencies. */
async function installed(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-package-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await run('npm', ['pack', '--pack-destination', folder], { cwd: join(repositoryRoot, 'sdk') })
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? ''
  const place = join(folder, 'node_modules', '@postrider', 'sdk')
  await mkdir(place, { recursive: true })
  await run('tar', ['-xzf', join(folder, tarball), '-C', place, '--strip-components=1'])
  // What npm would fetch; the registry is not asked.
  await symlink(join(repositoryRoot, 'node_modules', 'ws'), join(folder, 'node_modules', 'ws'))
  await writeFile(join(folder, 'package.json'), '{"type":"module","private":true}')
  return folder
}

const USE = `
  import { connect, indexedDbStorage, memoryStorage, PostriderError } from '@postrider/sdk'
  const client = connect({ urls: 'ws://127.0.0.1:1/mqtt', deviceId: 'phone-1', token: null, storage: memoryStorage() })
  try {
    connect({})
  } catch (error) {
    console.log(error instanceof PostriderError && error.code, client.state, typeof indexedDbStorage)
  }
  console.log((await client.close()) === null)
`

void t.test('SDK package: packed and installed in an empty folder, it runs', async (t) => {
  const folder = await installed(t)
  await writeFile(
    join(folder, 'use.js'),
    `${USE}
    import { fileStorage } from '@postrider/sdk/file-storage'
    const storage = fileStorage({ folder: 'memory' })
    console.log((await storage.load()).size)
    await storage.close()
  `,
  )
  const { stdout, stderr } = await run(process.execPath, ['use.js'], {
    cwd: folder,
    env: { PATH: process.env['PATH'] },
  })
  t.equal(stdout, 'bad_option connecting function\ntrue\n0\n')
  t.equal(stderr, '')
})

void t.test('SDK package: its types need nothing but themselves, in Node and for bundlers', async (t) => {
  const folder = await installed(t)
  await writeFile(
    join(folder, 'use.ts'),
    `
    import { connect, type ClientState, type Message } from '@postrider/sdk'
    import { fileStorage } from '@postrider/sdk/file-storage'
    const client = connect({
      urls: ['mqtt://a'],
      deviceId: 'phone-1',
      getToken: async ({ reason, signal }) => (signal.aborted ? null : reason),
      storage: fileStorage({ folder: 'x' }),
      handler: (message: Message, { signal }) => void [message.text(), message.json(), signal],
    })
    client.on('gap', ({ from, to, reason }) => void [from + to, reason === 'overflow'])
    export const state: ClientState = client.state
    for await (const message of client) message.ack()
  `,
  )
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    const args = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--lib', 'es2023,dom']
    const { stdout } = await run(
      join(repositoryRoot, 'node_modules', '.bin', 'tsc'),
      [...args, '--types', '', '--module', module, '--moduleResolution', resolution, 'use.ts'],
      { cwd: folder },
    ).catch((error: unknown) => ({
      stdout: error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error),
    }))
    t.equal(stdout, '', resolution)
  }
})

interface Bundle {
  readonly text: string
  /** Minified and gzipped. */
  readonly bytes: number
  /** The files that have a part in it. */
  readonly files: readonly string[]
}

/** What an app for browsers would ship. Rejects when something of it is not there in a browser, such as `node:fs`. */
async function bundle(folder: string, code: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: folder },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    metafile: true,
    write: false,
    logLevel: 'silent',
  })
  const text = outputFiles[0]?.text ?? ''
  const files = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
  )
  return { text, bytes: gzipSync(text, { level: 9 }).length, files }
}

const CONNECT = `import { connect } from '@postrider/sdk'; globalThis.use = [connect]`
const WHOLE = `import { connect, indexedDbStorage } from '@postrider/sdk'; globalThis.use = [connect, indexedDbStorage]`
const SERVER = `import { createPushClient } from '@postrider/sdk/server'; globalThis.use = [createPushClient]`
const MQTT_JS = `import mqtt from 'mqtt'; globalThis.use = [mqtt]`
const MSGPACK = `import { encode, decode } from '@msgpack/msgpack'; globalThis.use.push(encode, decode)`
const MQTT_PACKET = `import packet from 'mqtt-packet'; globalThis.use = [packet]`

void t.test('SDK package: a browser bundle has nothing of Node in it, and at most 130 KB', async (t) => {
  const folder = await installed(t)
  const whole = await bundle(folder, `${WHOLE};${SERVER.replace('use', 'more')}`)
  t.ok(whole.bytes <= 130_000, `${whole.bytes} bytes with everything there is`)
  t.notMatch(whole.text, /\bBuffer\b|\bprocess\b|require\(|["']node:/)
  t.same(
    whole.files.filter((path) => !/@postrider\/sdk\/dist\/(?:sdk|protocol)\//.test(path) && path !== '<stdin>'),
    [],
    'no package and no polyfill',
  )
  t.same(
    whole.files.filter((path) => path.includes('/sdk/node')),
    [],
  )
})

void t.test('SDK package: what is not imported is not in the bundle', async (t) => {
  const folder = await installed(t)
  const alone = await bundle(folder, CONNECT)
  t.notMatch(alone.text, /indexedDB|apiKey|Authorization/i)
  t.same(
    alone.files.filter((path) => /indexed-db|sdk\/server/.test(path)),
    [],
  )
  const server = await bundle(folder, SERVER)
  t.same(
    server.files.filter((path) => /mqtt|connection|handling|indexed-db/.test(path)),
    [],
  )
  const little = await bundle(folder, `import { memoryStorage } from '@postrider/sdk'; globalThis.use = memoryStorage`)
  t.ok(little.text.length < 1_000, `${little.text.length} bytes for one storage`)
})

void t.test('SDK package: docs/sdk.md says what a bundle weighs, and what MQTT.js would', async (t) => {
  const folder = await installed(t)
  const rows = sectionOf(readRepositoryFile('docs/sdk.md'), 'Size').split('\n')
  const stated = (name: string): number => {
    const row = rows.find((line) => line.startsWith(`| ${name} |`))
    return Number(row?.split('|')[2]?.trim().replaceAll(',', ''))
  }
  for (const [name, code] of [
    ['`connect` with `indexedDbStorage`', WHOLE],
    ['`connect` alone, in memory', CONNECT],
    ['`createPushClient`', SERVER],
  ] as const) {
    const { bytes } = await bundle(folder, code)
    t.comment(`${name}: ${bytes} bytes`)
    t.ok(bytes <= stated(name) && bytes > stated(name) - 1_500, `${name}: ${bytes} bytes, ${stated(name)} are stated`)
  }
  for (const [name, code] of [
    ['for comparison: MQTT.js 5.16', MQTT_JS],
    ['for comparison: MQTT.js 5.16 and @msgpack/msgpack 3.1', `${MQTT_JS};${MSGPACK}`],
    ['for comparison: mqtt-packet 9.0', MQTT_PACKET],
  ] as const) {
    const { bytes } = await bundle(repositoryRoot, code)
    t.ok(Math.abs(bytes - stated(name)) < 500, `${name}: ${bytes} bytes, ${stated(name)} are stated`)
  }
})
