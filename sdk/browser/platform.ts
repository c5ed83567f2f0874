import type { NetworkEvent, Platform } from '../device/platform.js'
import { systemClock } from '../device/system-clock.js'
import { openWebSocket } from './web-socket-channel.js'

/** Pages and workers; a worker has no page to be visible. */
export function browserPlatform(): Platform {
  return {
    clock: systemClock,
    random: Math.random,
    schemes: ['ws:', 'wss:'],
    open: openWebSocket,
    watchNetwork,
  }
}

function watchNetwork(listener: (event: NetworkEvent) => void): () => void {
  // React Native has WebSocket and none of these events: the application calls `wake`.
  if (typeof Reflect.get(globalThis, 'addEventListener') !== 'function') return () => undefined
  const stop = new AbortController()
  const { signal } = stop
  globalThis.addEventListener('online', () => listener('online'), { signal })
  globalThis.addEventListener('offline', () => listener('offline'), { signal })
  // A page that comes back out of the browser's cache.
  globalThis.addEventListener('pageshow', () => listener('visible'), { signal })
  if (typeof document === 'object') {
    const look = (): void => {
      if (document.visibilityState === 'visible') listener('visible')
    }
    document.addEventListener('visibilitychange', look, { signal })
  }
  return () => stop.abort()
}
