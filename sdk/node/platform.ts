import { REMAINING_MAX } from '../device/mqtt/packets.js'
import type { Platform } from '../device/platform.js'
import { systemClock } from '../device/system-clock.js'
import { openSocket } from './socket-channel.js'
import type { TlsOptions } from './tls-options.js'
import { openWebSocket } from './web-socket-channel.js'

/** Node: all four schemes. There is no word of the network here: the pings find out. */
export function nodePlatform(tls: TlsOptions = {}): Platform {
  return {
    clock: systemClock,
    random: Math.random,
    schemes: ['mqtt:', 'mqtts:', 'ws:', 'wss:'],
    open: (url, handlers) =>
      url.protocol === 'ws:' || url.protocol === 'wss:'
        ? openWebSocket(url, tls, REMAINING_MAX, handlers)
        : openSocket(url, tls, handlers),
    watchNetwork: () => () => undefined,
  }
}
