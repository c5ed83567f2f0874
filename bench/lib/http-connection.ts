// One keep-alive connection of an HTTP producer, over a plain socket, with one request in flight and a share of the devices
// of its own, so that the messages of one device are accepted in the order of their numbers. What is refused for a moment
// (429, 503) is sent again before anything else, as a producer has to.
import { connect, type Socket } from 'node:net'
import { DecodeError, entries, string } from './decode.js'
import { MARK_BYTES, deviceMark, mark, timeMark } from './marks.js'
import { Share, type ProducerOptions, type ProducerRun } from './producer.js'

/** What a refusal may be over with. Without a dedup id, an unknown outcome cannot be tried again. */
const PASSING = ['overloaded', 'store_unavailable']
const UNKNOWN = 'outcome_unknown'
/** Then it is no passing trouble. */
const TRIES = 60

interface Item {
  readonly device: number
  readonly number: number
  readonly text: string
}

/** One request that waits for its connection. */
interface Due {
  readonly count: number
  readonly micros: number
}

export class HttpConnection {
  readonly #options: ProducerOptions
  readonly #run: ProducerRun
  readonly #share: Share
  readonly #filler: string
  readonly #marks = new Map<number, string>()
  readonly #queue: Due[] = []
  readonly #idle: (connection: HttpConnection) => void
  readonly #failed: (error: Error) => void
  #socket: Socket | null = null
  #inFlight: readonly Item[] | null = null
  #tries = 0
  #received = ''
  #awaited = 0

  constructor(
    options: ProducerOptions,
    run: ProducerRun,
    index: number,
    on: { idle: (connection: HttpConnection) => void; failed: (error: Error) => void },
  ) {
    this.#options = options
    this.#run = run
    this.#share = new Share(options, index)
    this.#filler = 'x'.repeat(Math.max(0, options.payloadBytes - MARK_BYTES))
    for (const device of this.#share.devices) this.#marks.set(device, deviceMark(device))
    this.#idle = on.idle
    this.#failed = on.failed
  }

  get busy(): boolean {
    return this.#inFlight !== null || this.#queue.length > 0
  }

  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: this.#options.host, port: this.#options.port, noDelay: true })
      this.#socket = socket
      // Answers are ASCII (ids, numbers, codes), so that characters are bytes and lengths can be compared.
      socket.setEncoding('latin1')
      socket.on('data', (chunk: string | Buffer) => this.#data(String(chunk)))
      socket.once('connect', resolve)
      socket.once('error', (error) => {
        reject(error)
        this.#ended(error.message)
      })
      socket.once('close', () => this.#ended('the server closed the connection'))
    })
  }

  /** Sends a request of `count` messages marked with `micros`, now or after those before it. */
  push(count: number, micros: number): void {
    if (this.#inFlight === null) this.#send(count, micros)
    else this.#queue.push({ count, micros })
  }

  close(): void {
    this.#socket?.removeAllListeners('close')
    this.#socket?.destroy()
  }

  #send(count: number, micros: number): void {
    const time = timeMark(micros)
    const items = Array.from({ length: count }, () => {
      const device = this.#share.next()
      const number = this.#run.ledger.next(device)
      return { device, number, text: this.#item(device, number, time) }
    })
    this.#tries = 0
    this.#post(items)
  }

  #post(items: readonly Item[]): void {
    const { call, host, port, apiKey, idPrefix } = this.#options
    const single = call === 'single'
    const path = single ? `/v1/devices/${idPrefix}${items[0]?.device ?? 0}/messages` : '/v1/messages'
    const texts = items.map(({ text }) => text).join(',')
    const content = single ? texts : `{"messages":[${texts}]}`
    this.#inFlight = items
    this.#tries++
    this.#socket?.write(
      `POST ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nAuthorization: Bearer ${apiKey}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n${content}`,
      'latin1',
    )
  }

  #item(device: number, number: number, time: string): string {
    const { call, dedup, idPrefix } = this.#options
    const payload = `${mark(this.#marks.get(device) ?? '', number, time)}${this.#filler}`
    const address = call === 'single' ? '' : `"device":"${idPrefix}${device}",`
    const id = dedup ? `"dedupId":"${device}-${number}",` : ''
    return `{${address}${id}"payload":"${payload}"}`
  }

  #data(chunk: string): void {
    this.#received += chunk
    if (this.#received.length < this.#awaited) return
    const headEnd = this.#received.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = this.#received.slice(0, headEnd)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    if (length === undefined) {
      this.#ended('an answer without Content-Length')
      return
    }
    this.#awaited = headEnd + 4 + Number(length)
    if (this.#received.length < this.#awaited) return
    const body = this.#received.slice(headEnd + 4, this.#awaited)
    this.#received = this.#received.slice(this.#awaited)
    this.#awaited = 0
    this.#answered(Number(head.slice(9, 12)), head, body)
  }

  #answered(status: number, head: string, body: string): void {
    const items = this.#inFlight ?? []
    const again = status === 200 || status === 202 ? this.#tally(items, body) : this.#refused(items, status, body)
    if (again.length === 0) {
      this.#inFlight = null
      this.#next()
      return
    }
    this.#inFlight = again // busy until they are answered
    const pause = Number(/\r\nretry-after: *(\d+)/i.exec(head)?.[1] ?? 1)
    setTimeout(() => this.#post(again), Math.min(pause, 2) * 1000)
  }

  /** The whole request was refused, or its outcome is not known. What is to be sent again. */
  #refused(items: readonly Item[], status: number, body: string): readonly Item[] {
    const why = `${status}: ${body.slice(0, 300)}`
    const unknown = body.includes(`"${UNKNOWN}"`)
    if ((status === 429 || status === 503) && this.#mayRetry(unknown)) {
      this.#run.retried(items.length, why)
      return items
    }
    for (const { device, number } of items) {
      if (status >= 500 && (status !== 503 || unknown)) this.#run.unknown(device, number, why)
      else this.#run.refused(device, number, why)
    }
    return []
  }

  #mayRetry(unknown: boolean): boolean {
    return this.#tries < TRIES && (!unknown || this.#options.dedup)
  }

  /** Counts what was accepted. What is to be sent again. */
  #tally(items: readonly Item[], body: string): readonly Item[] {
    if (this.#options.call === 'single') {
      this.#run.accepted(1)
      return []
    }
    const again: Item[] = []
    try {
      const parsed: unknown = JSON.parse(body)
      const results = entries(parsed, 'answer').get('results')
      if (!Array.isArray(results) || results.length !== items.length)
        throw new DecodeError('answer.results: wrong length')
      let accepted = 0
      results.forEach((result: unknown, i) => {
        const item = items[i]
        if (item === undefined) return
        if (typeof result === 'object' && result !== null && 'seq' in result) {
          accepted++
          return
        }
        const code = string(entries(entries(result, 'result').get('error'), 'error').get('code'), 'error.code')
        const { device, number } = item
        if ((code === UNKNOWN || PASSING.includes(code)) && this.#mayRetry(code === UNKNOWN)) again.push(item)
        else if (code === UNKNOWN) this.#run.unknown(device, number, JSON.stringify(result))
        else this.#run.refused(device, number, JSON.stringify(result))
      })
      this.#run.accepted(accepted)
      if (again.length > 0) this.#run.retried(again.length, body.slice(0, 300))
      return again
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      for (const { device, number } of items) this.#run.unknown(device, number, why)
      return []
    }
  }

  #next(): void {
    const due = this.#queue.shift()
    if (due !== undefined) this.#send(due.count, due.micros)
    else this.#idle(this)
  }

  #ended(why: string): void {
    for (const { device, number } of this.#inFlight ?? []) this.#run.unknown(device, number, why)
    this.#inFlight = null
    this.#failed(new Error(why))
  }
}
