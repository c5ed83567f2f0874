import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Child } from '../support/child.js'
import { repositoryRoot } from '../support/repository.js'

const run = promisify(execFile)

void t.test(
  'command package: packed and installed in an empty folder, it serves, listens, and has its page',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'postrider-package-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    await run('npm', ['pack', '--pack-destination', folder], { cwd: join(repositoryRoot, 'cli') })
    const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? ''
    const place = join(folder, 'node_modules', 'postrider')
    await mkdir(place, { recursive: true })
    await run('tar', ['-xzf', join(folder, tarball), '-C', place, '--strip-components=1'])
    // What npm would fetch, and nothing else; the registry is not asked.
    const { dependencies }: { dependencies: object } = JSON.parse(await readFile(join(place, 'package.json'), 'utf8'))
    for (const name of Object.keys(dependencies)) {
      const link = join(folder, 'node_modules', name)
      await mkdir(dirname(link), { recursive: true })
      await symlink(join(repositoryRoot, 'node_modules', name), link)
    }
    const postrider = (...args: readonly string[]): Child =>
      new Child(t, process.execPath, [join(place, 'bin', 'postrider.js'), ...args], { cwd: folder })

    const ports = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']
    const server = postrider('serve', '--auth', 'none', ...ports)
    await server.until('the ready line', ({ stdout }) => stdout.includes('\n'))
    const { mqtt, http } = JSON.parse(server.stdout).ports
    const url = `http://127.0.0.1:${http}`
    t.match(await (await fetch(`${url}/dev/`)).text(), '@postrider/sdk')
    t.match(await (await fetch(`${url}/dev/modules/sdk/browser.js`)).text(), 'export function connect')
    t.same(await postrider('push', 'phone-1', 'hello', '--url', url).exited, { code: 0, signal: null })
    const listener = postrider(
      'listen',
      'phone-1',
      '--count',
      '1',
      '--url',
      url,
      '--mqtt-url',
      `mqtt://127.0.0.1:${mqtt}`,
    )
    t.same(await listener.exited, { code: 0, signal: null })
    t.equal(listener.stdout, 'hello\n')
  },
)

// It asks a registry for what the packages need.
const asked = process.env['CI_LONG'] === '1' ? false : 'CI_LONG=1 is not set'

void t.test(
  'command package: npm installs both tarballs in an empty folder, and npx serves',
  { skip: asked },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'postrider-install-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    await run('npm', ['pack', '-w', 'cli', '-w', 'sdk', '--pack-destination', folder], { cwd: repositoryRoot })
    const tarballs = (await readdir(folder)).filter((name) => name.endsWith('.tgz')).map((name) => join(folder, name))
    t.equal(tarballs.length, 2)
    const empty = join(folder, 'empty')
    await mkdir(empty)
    await run('npm', ['install', '--no-audit', '--no-fund', ...tarballs], { cwd: empty })
    const ports = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']
    const server = new Child(t, 'npx', ['postrider', 'serve', ...ports], { cwd: empty })
    await server.until('the ready line', ({ stdout }) => stdout.includes('\n'))
    t.match(JSON.parse(server.stdout), { ready: true, ports: { mqtt: Number, http: Number } })
    const { stdout } = await run('npx', ['postrider', 'token', 'phone-1'], { cwd: empty })
    t.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    const names = await run(
      process.execPath,
      ['--input-type=module', '--eval', "console.log(Object.keys(await import('@postrider/sdk')).join())"],
      { cwd: empty },
    )
    t.match(names.stdout, /connect/)
    // npx passes no signal on.
    process.kill(Number(/"pid":(\d+)/.exec(server.stderr)?.[1]), 'SIGTERM')
    t.same(await server.exited, { code: 0, signal: null })
  },
)
