// A server that is attacked while a victim goes on receiving, and whose every word is kept: at the end nothing secret may be
// among them, and every line of its log must still be a line of its log.

import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import type { IConnectPacket } from 'mqtt-packet'
import { connectPacket, RawClient } from './broker/raw-client.js'
import { claimsOf, hmacToken } from './issuer.js'
import { until } from './road/wait.js'
import { TestServer } from './server.js'

/** What a connection that was tried came to. */
export interface Knock {
  /** -1: closed without a CONNACK. */
  readonly code: number
  readonly client: RawClient
}

export class AttackedServer {
  readonly server: TestServer
  readonly apiKey: string
  readonly tokenSecret: string
  readonly #t: Test
  /** Never to be seen in a log, an answer or a metric. */
  readonly #secrets = new Set<string>()
  /** What was answered, over HTTP. */
  readonly #answers: string[] = []
  #victim: RawClient | null = null
  #told = 0

  private constructor(t: Test, server: TestServer, apiKey: string, tokenSecret: string) {
    this.#t = t
    this.server = server
    this.apiKey = this.secret(apiKey)
    this.tokenSecret = this.secret(tokenSecret)
  }

  static async start(t: Test, flags: readonly string[] = []): Promise<AttackedServer> {
    const apiKey = `marked-api-key-${randomBytes(16).toString('hex')}`
    const tokenSecret = `marked-token-secret-${randomBytes(32).toString('hex')}`
    const server = await TestServer.start(t, {
      flags: ['--log-level', 'trace', ...flags],
      env: { POSTRIDER_API_KEY: apiKey, POSTRIDER_TOKEN_SECRET: tokenSecret },
    })
    const attacked = new AttackedServer(t, server, apiKey, tokenSecret)
    await attacked.#seatVictim()
    return attacked
  }

  /** Marks what must not be seen; parts of a token count alone. */
  secret(text: string): string {
    for (const part of [text, ...text.split('.')]) if (part.length >= 16) this.#secrets.add(part)
    return text
  }

  /** A token as it should be, with other claims if given. */
  token(device: string, claims: object = {}): string {
    return this.forge({ alg: 'HS256', typ: 'JWT' }, { ...claimsOf(device), ...claims })
  }

  /** A token with this header, signed with the server's secret or with something else. */
  forge(header: object, claims: object | string, secret: string | Uint8Array = this.tokenSecret): string {
    return this.secret(hmacToken(header, claims, Buffer.from(secret)))
  }

  /** Tries to connect. The connection ends with the test. */
  async knock(device: string, token: string | null, options: Partial<IConnectPacket> = {}): Promise<Knock> {
    const client = await RawClient.to(this.server.ports.mqtt)
    this.#t.teardown(() => client.end())
    client.send(connectPacket(device, token, options))
    const answer = await client.next('connack').catch(() => null)
    return { client, code: answer?.cmd === 'connack' ? (answer.returnCode ?? -1) : -1 }
  }

  /** An attacker who is a device of his own, with a good token of his own. */
  async attacker(claims: object = {}, device = 'attacker'): Promise<RawClient> {
    const { client, code } = await this.knock(device, this.token(device, claims))
    this.#t.equal(code, 0, 'the attacker is connected as what he is')
    return client
  }

  /** A request with any headers; the answer is searched for secrets at the end. */
  async http(
    path: string,
    init: RequestInit = {},
    key: string | null = this.apiKey,
  ): Promise<{ status: number; text: string; headers: Headers }> {
    const headers = new Headers(init.headers)
    if (key !== null && !headers.has('authorization')) headers.set('authorization', `Bearer ${key}`)
    const response = await fetch(this.server.url + path, { ...init, headers })
    const text = await response.text()
    this.heard(text + JSON.stringify([...response.headers]))
    return { status: response.status, text, headers: response.headers }
  }

  /** Something that the server said. */
  heard(text: string): void {
    this.#answers.push(text)
  }

  async pushTo(device: string, payload: string): Promise<void> {
    const { status, text } = await this.http(`/v1/devices/${encodeURIComponent(device)}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ payload }),
    })
    this.#t.equal(status, 202, text)
  }

  async #seatVictim(): Promise<void> {
    const { client, code } = await this.knock('victim', this.token('victim'))
    this.#t.equal(code, 0)
    this.#victim = client
    await client.subscribe('inbox/victim')
  }

  /** What was pushed to the victim, of which nobody else may see anything. */
  readonly confidence = (n: number): string => `for the victim alone, ${n}`

  /** The victim's next message arrives, it alone, and on the same connection as ever. */
  async victimReceives(after: string): Promise<void> {
    const victim = this.#victim
    if (victim === null) throw new Error('no victim')
    await this.pushTo('victim', this.confidence(++this.#told))
    await until(`the victim, after ${after}`, () => victim.texts.length >= this.#told || victim.closed)
    this.#t.same(
      victim.texts,
      Array.from({ length: this.#told }, (_, i) => this.confidence(i + 1)),
      after,
    )
    this.#t.notOk(victim.closed, after)
    victim.ack(...victim.publishes.slice(-1))
  }

  /** None of what was for the victim came to `client`. */
  sawNothing(client: RawClient, what: string): void {
    this.#t.same(
      client.texts.filter((text) => text.includes('for the victim')),
      [],
      what,
    )
  }

  /** Ends the server, and judges all that it said. */
  async judge(): Promise<void> {
    const t = this.#t
    const metrics = await (await fetch(`${this.server.adminUrl}/metrics`)).text()
    t.equal((await this.server.stop()).code, 0, 'it stops as if nothing had been')
    const { stderr, stdout } = this.server.child
    const lines = stderr.split('\n').filter((line) => line !== '')
    const odd = lines.filter((line) => !isLogLine(line))
    t.same(odd, [], 'every line of the log is one of the log')
    t.notMatch(stderr, /"level":"(?:error|fatal)"/, 'and none tells of a fault')
    for (const [where, text] of [
      ['log', stderr],
      ['ready line', stdout],
      ['metrics', metrics],
      ['answers', this.#answers.join('\n')],
    ] as const) {
      const found = [...this.#secrets].filter((secret) => text.includes(secret))
      t.same(found, [], `nothing secret in the ${where}`)
    }
  }
}

function isLogLine(line: string): boolean {
  try {
    const parsed: unknown = JSON.parse(line)
    return typeof parsed === 'object' && parsed !== null && 'level' in parsed && 'time' in parsed && 'msg' in parsed
  } catch {
    return false
  }
}
