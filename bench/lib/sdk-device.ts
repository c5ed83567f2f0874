// A device as an application has it: the SDK, over TCP, with its memory in memory. It takes the place of a DeviceClient.
import type { Client } from '../../sdk/device/client.js'
import type { Message } from '../../sdk/device/message.js'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import { connect } from '../../sdk/node.js'
import type { DeviceClientHandlers, DeviceClientOptions } from './device-client.js'

export class SdkDevice {
  readonly #client: Client
  readonly #opened: Promise<void>

  constructor(device: number, options: DeviceClientOptions, handlers: DeviceClientHandlers) {
    const { host, port, clientId, password, streamWindow } = options
    let ready = false
    this.#client = connect({
      urls: `mqtt://${host}:${port}`,
      deviceId: clientId,
      storage: memoryStorage(),
      ...(password === null ? {} : { token: password }),
      ...(streamWindow === null ? {} : { window: streamWindow }),
      handler: ({ payload }: Message) => {
        handlers.arrival()
        handlers.message(device, payload, 0, payload.length)
      },
    })
    this.#opened = new Promise((resolve, reject) => {
      this.#client.on('state', ({ state, error }) => {
        if (state === 'catching-up' || state === 'live') {
          ready = true
          resolve()
        } else if (ready && state !== 'closed') handlers.lost(device, error?.message ?? state)
      })
      void this.#client.closed.then((error) => {
        if (error === null) return
        if (ready) handlers.lost(device, error.message)
        else reject(error)
      })
    })
  }

  /** Resolves at the welcome. */
  open(): Promise<void> {
    return this.#opened
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}
