import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'

type Retained = Pick<OrdinaryMessage, 'topic' | 'payload'>

/**
 * Which retained messages wait to be sent to one client. A subscription that is made again sends them again [MQTT-3.8.4-3];
 * but one that waits still is sent after it in any case, and need not wait twice. So the queue of a client that subscribes
 * and does not read holds no more than there is retained.
 */
export class RetainedWaiting {
  /** By QoS: the payload of each topic. Made when there is one. */
  readonly #payloads: Array<Map<string, Uint8Array> | undefined> = [undefined, undefined, undefined]

  /** False: this very message waits already. */
  add(qos: 0 | 1 | 2, { topic, payload }: Retained): boolean {
    const payloads = (this.#payloads[qos] ??= new Map<string, Uint8Array>())
    if (payloads.get(topic) === payload) return false
    payloads.set(topic, payload)
    return true
  }

  /** It waits no more. */
  remove(qos: 0 | 1 | 2, { topic, payload }: Retained): void {
    const payloads = this.#payloads[qos]
    // A newer one of the topic may wait behind it.
    if (payloads?.get(topic) !== payload) return
    payloads.delete(topic)
    if (payloads.size === 0) this.#payloads[qos] = undefined
  }

  clear(): void {
    this.#payloads.fill(undefined)
  }
}
