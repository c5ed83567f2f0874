// One MQTT connection of the `listen` command, as any plain client would make it: QoS 1, PUBACK after the message was
// handled.

import { isUtf8 } from 'node:buffer'
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { CONNACK } from '../protocol/codes.js'

export interface Received {
  readonly seq: number
  /** It may have been sent before. */
  readonly redelivered: boolean
  readonly payload: Buffer
}

export type SessionEnd =
  /** `signal` was aborted: what had been handled is acknowledged, and the connection was closed in good order. */
  | { readonly kind: 'stopped' }
  /** The server would not take the connection or the subscription; trying again would not help. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The connection could not be made, or ended. */
  | { readonly kind: 'lost'; readonly reason: string }

const REFUSALS: ReadonlyMap<number, string> = new Map([
  [CONNACK.unacceptableProtocol, 'it does not speak MQTT 3.1.1'],
  [CONNACK.identifierRejected, 'it does not take the device id'],
  [CONNACK.badCredentials, 'the token is not valid there (is it made with the secret of that server?)'],
  [CONNACK.notAuthorized, 'the token is not for this device'],
])

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** A message as a JSON line: text as it is, other bytes as base64. */
export function receivedAsJson(device: string, { seq, redelivered, payload }: Received): string {
  const content = isUtf8(payload)
    ? { payload: payload.toString('utf8') }
    : { payloadBase64: payload.toString('base64') }
  return JSON.stringify({ device, seq, redelivered, ...content })
}

/**
 * Connects, subscribes to the device's inbox and calls `handle` for one message after the other; each is acknowledged when
 * `handle` resolved, and none after it rejected (the session then ends as `lost` and the error is thrown to the caller).
 */
export function runDeviceSession(options: {
  readonly url: string
  readonly device: string
  /** Null: the server asks for none. */
  readonly token: string | null
  /** PEM: the authorities to trust over TLS; null: those that Node knows. */
  readonly ca: string | null
  readonly signal: AbortSignal
  readonly onSubscribed: () => void
  readonly handle: (message: Received) => Promise<void>
}): Promise<SessionEnd> {
  const { url, device, token, ca, signal, onSubscribed, handle } = options
  const topic = `inbox/${device}/+`

  return new Promise((resolve, reject) => {
    const connection: IClientOptions = {
      clientId: device,
      username: device,
      ...(token === null ? {} : { password: token }),
      ...(ca === null ? {} : { ca }),
      protocolVersion: 4,
      clean: true,
      keepalive: 30,
      // Reconnecting is the caller's: with a new token, and not against the connection that took the device.
      reconnectPeriod: 0,
      connectTimeout: 10_000,
      resubscribe: false,
    }
    const client: MqttClient = connect(url, connection)
    let reason = 'the server closed it'
    let handling = Promise.resolve()
    let done = false

    function finish(settle: () => void): void {
      if (done) return
      done = true
      signal.removeEventListener('abort', stop)
      settle()
    }

    function stop(): void {
      // The message that is being handled is finished and acknowledged; the DISCONNECT goes out behind its PUBACK.
      void handling.then(
        () => setImmediate(() => client.end(false, () => finish(() => resolve({ kind: 'stopped' })))),
        () => undefined,
      )
    }

    client.handleMessage = (packet: IPublishPacket, acknowledge: (error?: Error) => void): void => {
      // Once stopped, nothing more is handled or acknowledged: it stays in the inbox.
      if (signal.aborted || done) return
      const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload
      const seq = Number(packet.topic.slice(packet.topic.lastIndexOf('/') + 1))
      handling = handle({ seq, redelivered: packet.dup, payload })
      handling.then(
        () => acknowledge(),
        (error: unknown) =>
          finish(() => {
            client.end(true)
            reject(error instanceof Error ? error : new Error(String(error)))
          }),
      )
    }

    client.on('connect', () => {
      client.subscribe(topic, { qos: 1 }, (error, granted) => {
        if (error === null && granted?.every(({ qos }) => qos === 1) === true) {
          onSubscribed()
          return
        }
        if (client.disconnecting || done) return
        finish(() => {
          client.end(true)
          resolve({ kind: 'refused', reason: `the subscription ${topic} was refused` })
        })
      })
    })
    client.on('error', (error) => {
      reason = messageOf(error) || String(codeOf(error))
      const code = codeOf(error)
      const refusal = typeof code === 'number' ? REFUSALS.get(code) : undefined
      if (refusal === undefined) return
      finish(() => {
        client.end(true)
        resolve({ kind: 'refused', reason: refusal })
      })
    })
    client.on('close', () => {
      if (signal.aborted) return
      finish(() => {
        client.end(true)
        resolve({ kind: 'lost', reason })
      })
    })
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop)
  })
}
