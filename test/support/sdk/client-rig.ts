// A whole client of the SDK before a fake server.

import { Client } from '../../../sdk/device/client.js'
import type { PostriderError } from '../../../sdk/device/errors.js'
import type { ClientEvents } from '../../../sdk/device/events.js'
import { readOptions, type ConnectOptions } from '../../../sdk/device/options.js'
import { FakeWorld } from './fake-server.js'
import { settle } from './handling-rig.js'

export class ClientRig {
  readonly world = new FakeWorld()
  readonly client: Client
  readonly handled: number[] = []
  readonly errors: PostriderError[] = []
  readonly states: string[] = []
  readonly gaps: Array<ClientEvents['gap']> = []
  readonly resets: Array<ClientEvents['reset']> = []
  ended: PostriderError | null | undefined = undefined

  constructor(options: Partial<ConnectOptions> = {}, iterates = false) {
    const { platform } = this.world
    const handler = (message: { readonly seq: number }): void => void this.handled.push(message.seq)
    const settings = readOptions(
      {
        urls: 'mqtt://server',
        deviceId: 'phone-1',
        ...(options.getToken === undefined ? { token: 'secret' } : {}),
        ...(iterates ? {} : { handler }),
        ...options,
      },
      platform.schemes,
    )
    this.client = new Client(settings, platform)
    this.client.on('state', ({ state }) => this.states.push(state))
    this.client.on('error', (error) => this.errors.push(error))
    this.client.on('gap', (event) => this.gaps.push(event))
    this.client.on('reset', (event) => this.resets.push(event))
    void this.client.closed.then((error) => {
      this.ended = error
    })
  }

  /** Opens and accepts the next connection, and welcomes it. */
  async live(cursor = 0, head = cursor): Promise<this> {
    await settle()
    this.world.now.open().accept().welcome(cursor, head)
    await settle()
    return this
  }

  /** Lets the delay before the next connection pass. */
  async reconnects(): Promise<this> {
    await settle()
    this.world.clock.advance(this.world.clock.next ?? 0)
    await settle()
    return this
  }

  async advance(ms: number): Promise<this> {
    await settle()
    this.world.clock.advance(ms)
    await settle()
    return this
  }
}
