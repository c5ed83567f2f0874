import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { repositoryRoot } from '../support/repository.js'

const run = promisify(execFile)

/** What is promised of a browser bundle, in bytes, minified and gzipped. The README says what it is. */
const BUNDLE_MAX = 30_000

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

void t.test('SDK package: a browser bundle has nothing of Node in it, and is small', async (t) => {
  const folder = await installed(t)
  const bundle = async (code: string): Promise<string> => {
    await writeFile(join(folder, 'page.js'), code)
    const { outputFiles } = await build({
      entryPoints: [join(folder, 'page.js')],
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      logLevel: 'silent',
    })
    return outputFiles[0]?.text ?? ''
  }
  const size = (text: string): number => gzipSync(text, { level: 9 }).length
  const whole = await bundle(
    `import { connect, indexedDbStorage } from '@postrider/sdk'; globalThis.use = [connect, indexedDbStorage]`,
  )
  t.comment(`${whole.length} bytes minified, ${size(whole)} gzipped`)
  t.ok(size(whole) < BUNDLE_MAX, `${size(whole)} bytes`)
  t.notMatch(whole, /\bBuffer\b|require\(/)

  const without = await bundle(`import { connect } from '@postrider/sdk'; globalThis.use = connect`)
  t.notMatch(without, /indexedDB/, 'what is not used is not in it')
  const little = await bundle(`import { memoryStorage } from '@postrider/sdk'; globalThis.use = memoryStorage`)
  t.ok(little.length < 1_000, `${little.length} bytes for one storage`)
})
