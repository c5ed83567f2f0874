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
