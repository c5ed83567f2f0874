// The hub on a store in memory whose writes end as a test says, with links that record.

import type { Test } from 'tap'
import mqttPacket, { type Packet } from 'mqtt-packet'
import type { CloseReason } from '../../../broker/counters.js'
import { PubSubCounters } from '../../../broker/pubsub/counters.js'
import { PubSub } from '../../../broker/pubsub/hub.js'
import { DEFAULT_PUBSUB_LIMITS, type PubSubLimits } from '../../../broker/pubsub/limits.js'
import type { OrdinarySession, SessionLink } from '../../../broker/pubsub/session.js'
import { createLogger } from '../../../core/log.js'
import type { OrdinaryMessage } from '../../../core/model/ordinary-message.js'
import { FakeClock } from '../fake-clock.js'
import { createReferenceSessions, newSessionsState, type ReferenceSessionsState } from '../reference-sessions.js'

export class FakeLink implements SessionLink {
  readonly packets: Packet[] = []
  readonly closes: CloseReason[] = []
  buffered = 0
  granted: (topic: string) => boolean = () => true
  readonly #parser = mqttPacket.parser({ protocolVersion: 4 })

  constructor() {
    this.#parser.on('packet', (packet) => this.packets.push(packet))
  }

  write(bytes: Buffer): void {
    this.#parser.parse(bytes)
  }

  close(reason: CloseReason): void {
    this.closes.push(reason)
  }

  lookedAt(): void {}

  mayReceive(topic: string): boolean {
    return this.granted(topic)
  }

  /** Payloads, in order. */
  get texts(): string[] {
    return this.packets.flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))
  }
}

export interface HubRig {
  readonly hub: PubSub
  readonly counters: PubSubCounters
  readonly clock: FakeClock
  readonly state: ReferenceSessionsState
  /** How writes end from now on. */
  outcome: 'stored' | 'refused' | 'lost'
  /** Writes wait for it. */
  gate: Promise<void>
  /** A session with a connection and these subscriptions (QoS 2). */
  session(client: string, durable: boolean, link: FakeLink, ...filters: string[]): Promise<OrdinarySession>
}

export async function openHub(
  t: Test,
  limits: Partial<PubSubLimits> = {},
  state: ReferenceSessionsState = newSessionsState(),
): Promise<HubRig> {
  const clock = new FakeClock()
  const counters = new PubSubCounters()
  const store = createReferenceSessions(state, clock, { outcome: () => rig.outcome, delay: () => rig.gate })
  const hub = await PubSub.open({
    store,
    clock,
    log: createLogger({ level: 'silent' }),
    limits: { ...DEFAULT_PUBSUB_LIMITS, ...limits },
    counters,
    uplinkWill: () => Promise.resolve(),
  })
  const rig: HubRig = {
    hub,
    counters,
    clock,
    state,
    outcome: 'stored',
    gate: Promise.resolve(),
    async session(client, durable, link, ...filters) {
      const session = hub.obtain(client, durable, link)
      await hub.subscribe(
        session,
        filters.map((filter) => ({ filter, qos: 2 })),
      )
      return session
    },
  }
  t.teardown(() => {
    rig.outcome = 'stored'
    return hub.close()
  })
  return rig
}

export const message = (topic: string, text: string, qos: 0 | 1 | 2 = 1, retain = false): OrdinaryMessage => ({
  topic,
  payload: Buffer.from(text),
  qos,
  retain,
})
