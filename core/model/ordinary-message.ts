/** A message of ordinary pub/sub, as it was published. */
export interface OrdinaryMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
}

/** What a message counts as, wherever messages are limited: the characters of its topic and the bytes of its payload. */
export const ordinarySize = (message: Pick<OrdinaryMessage, 'topic' | 'payload'>): number =>
  message.topic.length + message.payload.length
