// Reads the answers on a raw HTTP connection.

export interface Reply {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** What came, taken apart; a fault when it is not HTTP. */
export class ReplyReader {
  readonly replies: Reply[] = []
  fault: string | null = null
  #bytes = Buffer.alloc(0)

  readonly read = (chunk: Buffer): void => {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    while (this.fault === null && this.#takeOne());
  }

  /** Bytes of an answer that has begun. */
  get rest(): number {
    return this.#bytes.length
  }

  #takeOne(): boolean {
    const end = this.#bytes.indexOf('\r\n\r\n')
    if (end < 0) return false
    const [first = '', ...lines] = this.#bytes.subarray(0, end).toString('latin1').split('\r\n')
    const status = /^HTTP\/1\.1 ([1-5][0-9]{2})\b/.exec(first)?.[1]
    if (status === undefined) {
      this.fault = `no status line: ${JSON.stringify(first.slice(0, 200))}`
      return false
    }
    const headers = new Map<string, string>()
    for (const line of lines) {
      const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?(.*)$/.exec(line) ?? []
      if (name === undefined) this.fault = `no header: ${JSON.stringify(line.slice(0, 200))}`
      else headers.set(name.toLowerCase(), value)
    }
    if (status === '100') {
      this.#bytes = this.#bytes.subarray(end + 4)
      return true
    }
    const length = Number(headers.get('content-length') ?? 0)
    if (headers.get('transfer-encoding') !== undefined) this.fault = 'an answer in chunks'
    if (this.#bytes.length < end + 4 + length) return false
    const body = this.#bytes.subarray(end + 4, end + 4 + length).toString('utf8')
    this.#bytes = this.#bytes.subarray(end + 4 + length)
    this.replies.push({ status: Number(status), headers, body })
    return true
  }
}
