// Many devices in one process, with one ledger and one histogram for all.
import { setTimeout as delay } from 'node:timers/promises'
import { ReceivedLedger, type ReceivedSummary } from './checker.js'
import { DeviceClient, type DeviceClientHandlers } from './device-client.js'
import { Histogram } from './histogram.js'
import { hasMark, markDevice, markMicros, markNumber, nowMicros } from './marks.js'
import { SdkDevice } from './sdk-device.js'

/** Longer than any scenario is idle, so that no client has to ping; not 0, because real devices have one. */
const KEEP_ALIVE_SECONDS = 600

const CONNECT_TRIES = 10
const CONNECT_PAUSE_MS = 500

export interface FleetOptions {
  readonly host: string
  readonly port: number
  /** Devices `first` to `first + count - 1`; device i is called `idPrefix` + i. */
  readonly first: number
  readonly count: number
  readonly idPrefix: string
  /** The filter is this, followed by the device's name; null: no subscription. */
  readonly filterPrefix: string | null
  /** The window that devices in stream mode ask for; null: plain mode. */
  readonly streamWindow: number | null
  /** The SDK is the client; else a bare one. Needs stream mode. */
  readonly sdk: boolean
  /** Password of a device; null: connect without username and password. */
  readonly password: ((id: string) => string) | null
  readonly clean: boolean
  /** Connections being opened at the same time. */
  readonly concurrency: number
}

export interface FleetOpened {
  readonly connected: number
  readonly failed: number
  readonly firstError: string | null
}

/** What has arrived since the last reading. */
export interface FleetReading {
  readonly latencies: Float64Array
  readonly received: number
  /** Microseconds, of the whole life; 0: nothing arrived yet. */
  readonly firstMicros: number
  readonly lastMicros: number
  /** Processor time of the process so far. */
  readonly cpuMicros: number
  /** Connections that ended although nobody here closed them. */
  readonly disconnected: number
}

export class DeviceFleet implements DeviceClientHandlers {
  readonly #options: FleetOptions
  readonly #clients: Array<DeviceClient | SdkDevice> = []
  readonly #ledger: ReceivedLedger
  readonly #latencies = new Histogram()
  #now = 0
  #firstMicros = 0
  #disconnected = 0

  constructor(options: FleetOptions) {
    this.#options = options
    this.#ledger = new ReceivedLedger(options.first, options.count)
  }

  get distinct(): number {
    return this.#ledger.distinct
  }

  async open(): Promise<FleetOpened> {
    const { first, count, concurrency } = this.#options
    let [next, connected, failed] = [first, 0, 0]
    let firstError: string | null = null
    const opener = async (): Promise<void> => {
      while (next < first + count) {
        const device = next++
        try {
          this.#clients.push(await this.#connected(device))
          connected++
        } catch (error) {
          failed++
          firstError ??= error instanceof Error ? error.message : String(error)
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(concurrency, count) }, opener))
    return { connected, failed, firstError }
  }

  /** As devices do: one that a busy server turned away comes again. */
  async #connected(device: number): Promise<DeviceClient | SdkDevice> {
    for (let tries = 1; ; tries++) {
      const client = this.#client(device)
      try {
        await client.open()
        return client
      } catch (error) {
        if (tries === CONNECT_TRIES) throw error
        await delay(CONNECT_PAUSE_MS)
      }
    }
  }

  /** Latencies since the last reading. */
  read(): FleetReading {
    const latencies = this.#latencies.counts()
    this.#latencies.reset()
    const cpu = process.cpuUsage()
    return {
      latencies,
      received: this.#ledger.received,
      firstMicros: this.#firstMicros,
      lastMicros: this.#now,
      cpuMicros: cpu.user + cpu.system,
      disconnected: this.#disconnected,
    }
  }

  summary(): ReceivedSummary {
    return this.#ledger.summary()
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.splice(0).map((client) => client.close()))
  }

  arrival(): void {
    this.#now = nowMicros()
    if (this.#firstMicros === 0) this.#firstMicros = this.#now
  }

  message(device: number, bytes: Uint8Array, from: number, to: number): void {
    if (!hasMark(bytes, from, to) || markDevice(bytes, from) !== device) {
      this.#ledger.foreign++
      return
    }
    this.#ledger.note(device, markNumber(bytes, from))
    this.#latencies.record(this.#now - markMicros(bytes, from))
  }

  lost(): void {
    this.#disconnected++
  }

  #client(device: number): DeviceClient | SdkDevice {
    const { host, port, idPrefix, filterPrefix, streamWindow, sdk, password, clean } = this.#options
    const id = `${idPrefix}${device}`
    const options = {
      host,
      port,
      clientId: id,
      username: password === null ? null : id,
      password: password === null ? null : password(id),
      clean,
      keepAlive: KEEP_ALIVE_SECONDS,
      filter: filterPrefix === null ? null : `${filterPrefix}${id}`,
      streamWindow,
    }
    return sdk ? new SdkDevice(device, options, this) : new DeviceClient(device, options, this)
  }
}
