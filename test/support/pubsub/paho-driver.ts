import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { until } from '../road/wait.js'
import type { Driver, DriverClient, DriverConnect, DriverMessage } from './driver.js'

const SCRIPT = fileURLToPath(new URL('paho-client.py', import.meta.url))

/** The Python that has paho-mqtt: the one that POSTRIDER_TEST_PYTHON names, else python3. */
const python = process.env['POSTRIDER_TEST_PYTHON'] ?? 'python3'

function missingPaho(): string | null {
  const { status } = spawnSync(python, ['-c', 'import paho.mqtt.client; paho.mqtt.client.CallbackAPIVersion'])
  const how = 'pip install paho-mqtt==2.1.0, and POSTRIDER_TEST_PYTHON for the Python that has it'
  return status === 0 ? null : `paho-mqtt is not there (${how})`
}

type Answer = Readonly<Record<string, unknown>>

/** One Python process for each client; it is killed at the end of the test. */
class Paho {
  readonly messages: DriverMessage[] = []
  closed = false
  readonly #answers: Answer[] = []
  readonly #send: (line: string) => void
  readonly #kill: () => void

  constructor(t: Test) {
    const child = spawn(python, ['-u', SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: child.stdout }).on('line', (line) => this.#said(JSON.parse(line)))
    child.stdin.on('error', () => {})
    child.on('exit', () => (this.closed = true))
    this.#send = (line) => void child.stdin.write(`${line}\n`)
    this.#kill = () => void child.kill('SIGKILL')
    t.teardown(this.#kill)
  }

  #said(what: unknown): void {
    if (typeof what !== 'object' || what === null) return
    const said: Answer = { ...what }
    if (said['event'] === 'closed') this.closed = true
    else if (said['event'] === 'message') {
      const { topic, payload, qos, retain, dup } = said
      this.messages.push({
        topic: String(topic),
        payload: String(payload),
        qos: Number(qos),
        retain: retain === true,
        dup: dup === true,
      })
    } else this.#answers.push(said)
  }

  tell(command: object): void {
    this.#send(JSON.stringify(command))
  }

  async ask(command: { readonly do: string } & Readonly<Record<string, unknown>>): Promise<Answer> {
    this.tell(command)
    await until(`paho to ${command.do}`, () => this.#answers.length > 0)
    const answer = this.#answers.shift()
    if (answer?.['answer'] !== command.do) throw new Error(`another answer: ${JSON.stringify(answer)}`)
    return answer
  }

  async end(how: 'disconnect' | 'drop'): Promise<void> {
    this.tell({ do: how })
    await until('the connection to end', () => this.closed)
    this.#kill()
  }
}

export function pahoDriver(t: Test, port: number): Driver {
  return {
    name: 'paho-mqtt',
    missing: missingPaho(),
    async connect(id, { clean = true, keepalive = 60, acks = true, will }: DriverConnect = {}) {
      const paho = new Paho(t)
      const { sessionPresent, refused } = await paho.ask({ do: 'connect', id, port, clean, keepalive, acks, will })
      if (refused === true) throw new Error('refused')
      return wrap(paho, sessionPresent === true)
    },
  }
}

function wrap(paho: Paho, sessionPresent: boolean): DriverClient {
  return {
    sessionPresent,
    messages: paho.messages,
    get closed() {
      return paho.closed
    },
    async subscribe(...filters) {
      const { granted } = await paho.ask({ do: 'subscribe', filters })
      return Array.isArray(granted) ? granted.map(Number) : []
    },
    async unsubscribe(...filters) {
      await paho.ask({ do: 'unsubscribe', filters })
    },
    async publish(topic, payload, qos, retain = false) {
      const { done } = await paho.ask({ do: 'publish', topic, payload, qos, retain })
      if (done !== true) throw new Error('not published')
    },
    disconnect: () => paho.end('disconnect'),
    drop: () => paho.end('drop'),
  }
}
