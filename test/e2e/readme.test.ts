// Runs the README's own lines: the blocks under a comment `tested: name`, as a reader would copy them, in a folder with the
// data folder of a server that `npm start` runs. Only the ports differ, because tests do not take the well-known ones.

import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import tap, { type Test } from 'tap'
import { Child } from '../support/child.js'
import { readRepositoryFile, repositoryRoot } from '../support/repository.js'

const missing = ['curl', 'mosquitto_sub'].filter((tool) => spawnSync('which', [tool]).status !== 0)
const needs = (...tools: readonly string[]): { skip: string | false } => {
  const absent = tools.filter((tool) => missing.includes(tool))
  return { skip: absent.length > 0 && `not installed: ${absent.join(', ')}` }
}

/** The block of shell lines under `<!-- tested: name -->`. */
function block(name: string): string {
  const match = new RegExp(`<!-- tested: ${name} -->\\n\`\`\`sh\\n([\\s\\S]*?)\`\`\``).exec(
    readRepositoryFile('README.md'),
  )
  if (match?.[1] === undefined) throw new RangeError(`README.md has no block "${name}"`)
  return match[1]
}

/** npm and shells start processes of their own: a signal goes to all of them. */
class ProcessGroup extends Child {
  constructor(t: Test, command: readonly string[], cwd: string, env: Readonly<Record<string, string>>) {
    // tap puts NODE_OPTIONS into the environment of whatever a test spawns; a reader's terminal has none.
    super(t, 'setsid', ['env', '-u', 'NODE_OPTIONS', ...command], { cwd, env })
  }

  override signal(signal: NodeJS.Signals): void {
    if (this.status === null) process.kill(-this.pid, signal)
  }

  /** The match of `pattern` in what it has printed, as soon as it is there. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null
    await this.until(`it printed ${String(pattern)}`, ({ stdout }) => (match = pattern.exec(stdout)) !== null)
    if (match === null) throw new Error(`it did not print ${String(pattern)}`)
    return match
  }
}

await tap.test('readme: its lines push a message and receive it', needs('curl'), async (t) => {
  const folder = t.testdir({})
  // As in the repository: npx finds the command that npm has linked.
  symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'))

  const server = new ProcessGroup(t, ['npm', 'start'], repositoryRoot, {
    POSTRIDER_STORE: `file:${join(folder, 'data')}`,
    POSTRIDER_MQTT_PORT: '0',
    POSTRIDER_WS_PORT: '0',
    POSTRIDER_HTTP_PORT: '0',
    POSTRIDER_ADMIN_PORT: '0',
  })
  const [, mqtt = '', http = ''] = await server.prints(/^\{"ready":true.*"mqtt":(\d+).*"http":(\d+)/m)

  const environment = {
    POSTRIDER_URL: `http://127.0.0.1:${http}`,
    POSTRIDER_MQTT_URL: `mqtt://127.0.0.1:${mqtt}`,
  }
  const run = (...names: readonly string[]): ProcessGroup => {
    const lines = names
      .map(block)
      .join('\n')
      .replaceAll('http://127.0.0.1:8080', environment.POSTRIDER_URL)
      .replaceAll('mosquitto_sub ', `mosquitto_sub -h 127.0.0.1 -p ${mqtt} `)
    return new ProcessGroup(t, ['bash', '-ec', lines], folder, environment)
  }

  await t.test('readme: the push is answered with its place, and a second time as a duplicate', async (t) => {
    const first = run('push')
    const [, epoch = ''] = await first.prints(/\{"device":"phone-1","seq":1,"epoch":"([^"]+)"\}/)
    t.equal((await first.exited).code, 0)
    const second = run('push')
    await second.prints(/"duplicate":true/)
    t.match(second.stdout, `"seq":1,"epoch":"${epoch}"`)
    t.equal((await second.exited).code, 0)
  })

  await t.test('readme: mosquitto_sub receives it', needs('mosquitto_sub'), async (t) => {
    const subscriber = run('push', 'mosquitto')
    await subscriber.prints(/^\{.*\}\s*hello$/m)
    await subscriber.kill('SIGKILL')
    t.pass('it was printed')
  })

  await t.test('readme: postrider listen receives what comes later, and the device is handled up to it', async (t) => {
    const listener = run('listen')
    const again = run('again')
    await again.prints(/"head":2\b/)
    t.equal((await again.exited).code, 0)
    await listener.prints(/hello again/)
    await listener.kill('SIGTERM')
    const after = run('again')
    await after.prints(/"head":3,"cursor":2,"pending":1\b/)
    t.equal((await after.exited).code, 0)
  })
})
