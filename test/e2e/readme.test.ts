// Runs the README's own lines: the blocks under a comment `tested: name`, as a reader would copy them, in a folder with the
// data folder of a server that `npm start` runs. Only the ports differ, because tests do not take the well-known ones.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import tap from 'tap'
import { readRepositoryFile, repositoryRoot } from '../support/repository.js'

const DEADLINE_MS = 60_000
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

/** The environment without what the test runner and npm add to it: the lines run as in a reader's terminal. */
const plainEnvironment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:_?TAP|npm_|POSTRIDER_)/.test(name)),
)

/** A started command with what it has printed; in a process group of its own, so that all of it can be ended. */
class Run {
  out = ''
  err = ''
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  #changed: () => void = () => undefined

  constructor(command: string, args: readonly string[], cwd: string, env: Readonly<Record<string, string>>) {
    // tap puts NODE_OPTIONS into the environment of whatever a test spawns; `env` takes it out again.
    const child = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], {
      cwd,
      env: { ...plainEnvironment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.out += text
      this.#changed()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.err += text
    })
    this.child = child
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => {
        resolve(code)
        this.#changed()
      })
    })
  }

  /** The match of `pattern` in the output, as soon as it is there. Throws when the command ends or takes too long first. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.#changed()
    }, DEADLINE_MS)
    try {
      for (;;) {
        const match = pattern.exec(this.out)
        if (match !== null) return match
        if (late || this.child.exitCode !== null || this.child.signalCode !== null) {
          throw new Error(`did not print ${String(pattern)}\nstdout: ${this.out}\nstderr: ${this.err}`)
        }
        await new Promise<void>((resolve) => {
          this.#changed = resolve
        })
      }
    } finally {
      clearTimeout(timer)
    }
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null) {
      process.kill(-this.child.pid, signal)
    }
    await this.ended
  }
}

await tap.test('readme: its lines push a message and receive it', needs('curl'), async (t) => {
  const folder = t.testdir({})
  // As in the repository: npx finds the command that npm has linked.
  symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'))

  const server = new Run('npm', ['start'], repositoryRoot, {
    POSTRIDER_STORE: `file:${join(folder, 'data')}`,
    POSTRIDER_MQTT_PORT: '0',
    POSTRIDER_WS_PORT: '0',
    POSTRIDER_HTTP_PORT: '0',
    POSTRIDER_ADMIN_PORT: '0',
  })
  t.teardown(() => server.end('SIGTERM'))
  const [, mqtt = '', http = ''] = await server.prints(/^\{"ready":true.*"mqtt":(\d+).*"http":(\d+)/m)

  const environment = {
    POSTRIDER_URL: `http://127.0.0.1:${http}`,
    POSTRIDER_MQTT_URL: `mqtt://127.0.0.1:${mqtt}`,
  }
  const run = (...names: readonly string[]): Run => {
    const lines = names
      .map(block)
      .join('\n')
      .replaceAll('http://127.0.0.1:8080', environment.POSTRIDER_URL)
      .replaceAll('mosquitto_sub ', `mosquitto_sub -h 127.0.0.1 -p ${mqtt} `)
    const started = new Run('bash', ['-ec', lines], folder, environment)
    t.teardown(() => started.end('SIGKILL'))
    return started
  }

  await t.test('readme: the push is answered with its place, and a second time as a duplicate', async (t) => {
    const first = run('push')
    const [, epoch = ''] = await first.prints(/\{"device":"phone-1","seq":1,"epoch":"([^"]+)"\}/)
    t.equal(await first.ended, 0, 'it ends well')
    const second = run('push')
    await second.prints(/"duplicate":true/)
    t.match(second.out, `"seq":1,"epoch":"${epoch}"`)
    t.equal(await second.ended, 0, 'it ends well')
  })

  await t.test('readme: mosquitto_sub receives it', needs('mosquitto_sub'), async (t) => {
    const subscriber = run('push', 'mosquitto')
    await subscriber.prints(/^\{.*\}\s*hello$/m)
    await subscriber.end('SIGKILL')
    t.pass('it was printed')
  })

  await t.test('readme: postrider listen receives what comes later, and the device is handled up to it', async (t) => {
    const listener = run('listen')
    const again = run('again')
    await again.prints(/"head":2\b/)
    t.equal(await again.ended, 0, 'it ends well')
    await listener.prints(/hello again/)
    await listener.end('SIGTERM')
    const after = run('again')
    await after.prints(/"head":3,"cursor":2,"pending":1\b/)
    t.equal(await after.ended, 0, 'it ends well')
  })
})
