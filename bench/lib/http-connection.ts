// One keep-alive connection of an HTTP producer, over a plain socket, with one request in flight and a share of the devices
// of its own, so that the messages of one device are accepted in the order of their numbers.
import { connect, type Socket } from 'node:net'
import { DecodeError, entries } from './decode.js'
import { MARK_BYTES, deviceMark, mark, timeMark } from './marks.js'
import { Share, type ProducerOptions, type ProducerRun } from './producer.js'

interface Item {
  readonly device: number
  readonly number: number
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
    const items: Item[] = []
    let body = ''
    for (let i = 0; i < count; i++) {
      const device = this.#share.next()
      const number = this.#run.ledger.next(device)
      items.push({ device, number })
      body += i === 0 ? this.#item(device, number, time) : `,${this.#item(device, number, time)}`
    }
    const { call, host, port, apiKey, idPrefix } = this.#options
    const single = call === 'single'
    const path = single ? `/v1/devices/${idPrefix}${items[0]?.device ?? 0}/messages` : '/v1/messages'
    const content = single ? body : `{"messages":[${body}]}`
    this.#inFlight = items
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
    this.#inFlight = null
    if (status === 200 || status === 202) this.#tally(items, body)
    else if (status === 429 || status === 503 || (status >= 400 && status < 500)) {
      for (const { device, number } of items) this.#run.refused(device, number, `${status}: ${body.slice(0, 300)}`)
    } else for (const { device, number } of items) this.#run.unknown(device, number, `${status}: ${body.slice(0, 300)}`)
    const pause = status === 429 || status === 503 ? Number(/\r\nretry-after: *(\d+)/i.exec(head)?.[1] ?? 1) : 0
    if (pause > 0) setTimeout(() => this.#next(), Math.min(pause, 2) * 1000)
    else this.#next()
  }

  #tally(items: readonly Item[], body: string): void {
    if (this.#options.call === 'single') {
      this.#run.accepted(1)
      return
    }
    try {
      const parsed: unknown = JSON.parse(body)
      const results = entries(parsed, 'answer').get('results')
      if (!Array.isArray(results) || results.length !== items.length)
        throw new DecodeError('answer.results: wrong length')
      let accepted = 0
      results.forEach((result: unknown, i) => {
        const item = items[i]
        if (item === undefined) return
        const isObject = typeof result === 'object' && result !== null
        if (isObject && 'seq' in result) accepted++
        else this.#run.refused(item.device, item.number, JSON.stringify(result))
      })
      this.#run.accepted(accepted)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      for (const { device, number } of items) this.#run.unknown(device, number, why)
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
