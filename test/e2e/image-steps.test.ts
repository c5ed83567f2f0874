// The Dockerfile without a container engine: its steps are run in plain folders, and what they make is started as the image says.

import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Child } from '../support/child.js'
import { buildImage, contextFiles } from '../support/kubernetes/image-steps.js'
import { readImage } from '../support/kubernetes/pod.js'

t.setTimeout(600_000)

void t.test('image: the engine is sent sources and manifests, and nothing else', async (t) => {
  const files = contextFiles()
  for (const path of ['package-lock.json', 'LICENSE', 'cli/bin/postrider.js', 'core/stores/redis/scripts.ts']) {
    t.ok(files.includes(path), path)
  }
  const folders = new Set(files.map((path) => path.split('/')[0]))
  for (const folder of ['test', 'bench', 'docs', 'k8s', 'data', 'node_modules', '.git'])
    t.notOk(folders.has(folder), folder)
})

void t.test('image: the steps make a server that starts, is healthy, and has no build tools in it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-image-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { root, health } = await buildImage(folder)
  t.same((await readdir(root)).toSorted(), ['opt', 'var'])
  t.same((await readdir(join(root, 'opt/postrider'))).toSorted(), ['LICENSE', 'cli', 'node_modules'])
  t.same((await readdir(join(root, 'opt/postrider/cli'))).toSorted(), ['bin', 'dev-page', 'dist', 'package.json'])
  for (const name of ['typescript', 'tap', 'tsx', 'prettier', 'mqtt']) {
    t.notOk(existsSync(join(root, 'opt/postrider/node_modules', name)), `${name} is not in it`)
  }

  const { entrypoint, env } = readImage()
  const here = (word: string): string =>
    word === '/nodejs/bin/node' ? process.execPath : word.startsWith('/opt/') ? join(root, word) : word
  const [command = '', ...args] = entrypoint.map(here)
  const server = new Child(t, command, [...args, 'serve'], {
    cwd: join(root, 'var/lib/postrider'),
    env: {
      ...Object.fromEntries(env),
      POSTRIDER_STORE: (env.get('POSTRIDER_STORE') ?? '').replace('file:', `file:${root}`),
      POSTRIDER_HOST: '127.0.0.1',
      ...Object.fromEntries(['MQTT', 'WS', 'HTTP', 'ADMIN'].map((name) => [`POSTRIDER_${name}_PORT`, '0'])),
    },
  })
  await server.until('the ready line', ({ stdout }) => stdout.includes('\n'))
  const { http, admin } = JSON.parse(server.stdout).ports
  const check = (): Child => {
    const [node = '', ...rest] = health.map(here)
    return new Child(t, node, rest, { env: { POSTRIDER_ADMIN_PORT: String(admin) } })
  }
  t.same(await check().exited, { code: 0, signal: null }, 'healthy')
  const data = join(root, 'var/lib/postrider/data')
  const push = new Child(t, command, [
    ...args,
    'push',
    'phone-1',
    'hello',
    '--url',
    `http://127.0.0.1:${http}`,
    '--data',
    data,
  ])
  t.same(await push.exited, { code: 0, signal: null }, push.stderr)
  t.same(await server.kill('SIGTERM'), { code: 0, signal: null })
  t.same(await check().exited, { code: 1, signal: null }, 'not healthy any more')
})
