// Events as receivers get them: `{type, timestamp, data}`, as Standard Webhooks recommends.

import type { EventType } from '../../core/model/event.js'
import type { LoggedEvent } from '../../core/ports/event-log.js'
import type { StoredUplink } from '../../core/ports/uplink.js'
import { showPayload, TEXT_TYPE } from '../payload.js'
import type { Delivery } from './delivery-queue.js'

/** The logs that events come from, by the names under which cursors are kept. */
export const LOGS = ['events', 'uplink'] as const
export type LogName = (typeof LOGS)[number]

/** A larger payload of an uplink is left out. Bytes. */
export const UPLINK_INLINE_MAX = 64 * 1024

function bodyOf(type: EventType, at: number, data: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ type, timestamp: new Date(at).toISOString(), data })
}

function dataOf({ type, device, epoch, seq, count, reason }: LoggedEvent): Readonly<Record<string, unknown>> {
  switch (type) {
    case 'device.offline_with_pending':
      return { device, pending: count, epoch, seq }
    case 'message.handled':
      return { device, epoch, seq }
    case 'message.expired':
      return { device, epoch, seq, count, reason }
    case 'message.overflow':
      return { device, epoch, seq, count }
    default:
      throw type satisfies never
  }
}

export function deliveryOfEvent(event: LoggedEvent): Delivery {
  const { id, device, at, type } = event
  return { log: 'events', id, device, at, messageId: `evt_${id}`, body: bodyOf(type, at, dataOf(event)) }
}

export function deliveryOfUplink({ id, device, channel, contentType, will, at, payload }: StoredUplink): Delivery {
  const content =
    payload.byteLength > UPLINK_INLINE_MAX
      ? { payloadOmitted: true, size: payload.byteLength }
      : showPayload(payload, contentType ?? TEXT_TYPE)
  const body = bodyOf('uplink', at, { device, id, channel, contentType, will, ...content })
  return { log: 'uplink', id, device, at, messageId: `upl_${id}`, body }
}
