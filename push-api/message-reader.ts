// Reads messages as producers write them. This is the hot path of every push, so it is written by hand, one pass over the
// fields of an item; `schemas/message.ts` says the same as JSON schema, and a test runs both over generated messages.

import type { ErrorCode } from '../protocol/codes.js'
import { DEVICE_ID_RULE, isDeviceId } from '../protocol/device-id.js'
import { isTraceparent, TRACEPARENT, withTraceparent } from '../core/model/trace-context.js'
import type { Attributes, NewMessage, Priority } from '../core/model/message.js'
import { FIELD_LIMITS } from './limits.js'
import { BYTES_TYPE, decodeBase64, encodeJson, encodeText, JSON_TYPE, TEXT_TYPE, type PayloadFault } from './payload.js'
import type { Refusal } from './problem.js'
import type { SourceText } from './source-text.js'
import { hasAtMost, hasLoneSurrogate, isJsonObject, isPrintableAscii, quoteName } from './text-rules.js'

/** Fields of the design that this version does not have: refused by name, never ignored. */
export const LATER_FIELDS: ReadonlySet<string> = new Set(['deliverAt', 'collapseKey', 'producer'])

/** `single`: the device is in the URL. `batch`: an item of `messages`. `line`: a line of NDJSON. */
export type Place = 'single' | 'batch' | 'line'

const attributeAt = (key: string): string => `attributes[${quoteName(key)}]`

const EMPTY = new Uint8Array(0)

export class MessageReader {
  readonly #place: Place
  readonly #payloadMax: number
  readonly #traceparent: string | null
  /** What the last `read` found. Either `device` or `devices` is set, except in a single message. */
  device: string | null = null
  devices: readonly string[] | null = null
  #payload: Uint8Array = EMPTY
  #contentType = ''
  #attributes: Attributes | null = null
  #dedupId: string | null = null
  #ttl: number | null = null
  #priority: Priority = 'normal'
  #receipt = false

  /** `traceparent`: of the request; a message may have its own. */
  constructor(place: Place, payloadMax: number, traceparent: string | null = null) {
    this.#traceparent = traceparent
    this.#place = place
    this.#payloadMax = payloadMax
  }

  get dedupId(): string | null {
    return this.#dedupId
  }

  get payloadBytes(): number {
    return this.#payload.byteLength
  }

  /** The message that was read, for one device. */
  messageFor(device: string, dedupId: string | null): NewMessage {
    return {
      device,
      payload: this.#payload,
      contentType: this.#contentType,
      attributes: withTraceparent(this.#attributes, this.#traceparent),
      dedupId,
      ttl: this.#ttl,
      priority: this.#priority,
      receipt: this.#receipt,
    }
  }

  /** Reads `item`, number `index` of `source`. Null: it is well-formed, and the reader holds it until the next `read`. */
  read(item: unknown, index: number, source: SourceText): Refusal | null {
    if (!isJsonObject(item)) return this.#refuse('bad_request', index, '', 'a JSON object is expected')
    this.device = null
    this.devices = null
    this.#attributes = null
    this.#dedupId = null
    this.#ttl = null
    this.#priority = 'normal'
    this.#receipt = false
    let contentType: string | null = null
    let defaultType: string | null = null

    for (const key in item) {
      const value = item[key]
      switch (key) {
        case 'device': {
          if (this.#place === 'single') return this.#unknown(index, key)
          if (typeof value !== 'string') return this.#wrong(index, key, 'a string is expected')
          if (!isDeviceId(value)) return this.#refuse('invalid_device_id', index, key, DEVICE_ID_RULE)
          this.device = value
          break
        }
        case 'payload': {
          if (defaultType !== null) return this.#bothPayloads(index)
          const refusal =
            typeof value === 'string' ? this.#readText(value, index, source) : this.#readJson(value, index, source)
          if (refusal !== null) return refusal
          defaultType = typeof value === 'string' ? TEXT_TYPE : JSON_TYPE
          break
        }
        case 'dedupId': {
          if (typeof value !== 'string' || value === '' || !hasAtMost(value, FIELD_LIMITS.dedupIdMax)) {
            return this.#wrong(index, key, `a string of 1 to ${FIELD_LIMITS.dedupIdMax} characters is expected`)
          }
          if (source.mayHoldSurrogates && hasLoneSurrogate(value)) return this.#surrogate(index, key)
          this.#dedupId = value
          break
        }
        case 'ttl': {
          if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > FIELD_LIMITS.ttlMax) {
            return this.#wrong(index, key, `an integer of 1 to ${FIELD_LIMITS.ttlMax} (seconds) is expected`)
          }
          this.#ttl = value
          break
        }
        case 'priority': {
          if (value !== 'high' && value !== 'normal') return this.#wrong(index, key, '"high" or "normal" is expected')
          this.#priority = value
          break
        }
        case 'receipt': {
          if (typeof value !== 'boolean') return this.#wrong(index, key, 'true or false is expected')
          this.#receipt = value
          break
        }
        case 'contentType': {
          if (
            typeof value !== 'string' ||
            value.length > FIELD_LIMITS.contentTypeMax ||
            !isPrintableAscii(value) // the empty string is not either
          ) {
            return this.#wrong(
              index,
              key,
              `a string of 1 to ${FIELD_LIMITS.contentTypeMax} printable ASCII characters is expected`,
            )
          }
          contentType = value
          break
        }
        case 'attributes': {
          const refusal = this.#readAttributes(value, index, source)
          if (refusal !== null) return refusal
          break
        }
        case 'payloadBase64': {
          if (defaultType !== null) return this.#bothPayloads(index)
          if (typeof value !== 'string') return this.#wrong(index, key, 'a string is expected')
          const bytes = decodeBase64(value, this.#payloadMax)
          if (typeof bytes === 'string') return this.#payloadFault(bytes, index, key)
          this.#payload = bytes
          defaultType = BYTES_TYPE
          break
        }
        case 'devices': {
          if (this.#place === 'single') return this.#unknown(index, key)
          const refusal = this.#readDevices(value, index)
          if (refusal !== null) return refusal
          break
        }
        case 'group': {
          if (this.#place === 'single') return this.#unknown(index, key)
          return this.#refuse('not_supported', index, key, 'groups are not built in this version')
        }
        default:
          if (LATER_FIELDS.has(key)) {
            return this.#refuse('not_supported', index, key, 'this field is not built in this version')
          }
          return this.#unknown(index, key)
      }
    }

    if (defaultType === null) return this.#refuse('bad_request', index, '', 'payload or payloadBase64 is required')
    if (this.#place !== 'single' && (this.device === null) === (this.devices === null)) {
      return this.#refuse('bad_request', index, '', 'exactly one of device and devices is required')
    }
    this.#contentType = contentType ?? defaultType
    return null
  }

  #readText(text: string, index: number, source: SourceText): Refusal | null {
    if (source.mayHoldSurrogates && hasLoneSurrogate(text)) return this.#surrogate(index, 'payload')
    const bytes = encodeText(text, this.#payloadMax)
    if (typeof bytes === 'string') return this.#payloadFault(bytes, index, 'payload')
    this.#payload = bytes
    return null
  }

  #readJson(value: unknown, index: number, source: SourceText): Refusal | null {
    const lossy = value === null || typeof value === 'boolean' ? null : source.lossyNumber(index)
    if (lossy !== null) {
      return {
        code: 'bad_request',
        message: `${lossy}: the number would not survive in a JSON payload; send it as a string`,
      }
    }
    const bytes = encodeJson(value, this.#payloadMax)
    if (typeof bytes === 'string') return this.#payloadFault(bytes, index, 'payload')
    this.#payload = bytes
    return null
  }

  #readAttributes(value: unknown, index: number, source: SourceText): Refusal | null {
    const { attributesMax, attributeKeyMax, attributeValueMax } = FIELD_LIMITS
    if (!isJsonObject(value)) return this.#wrong(index, 'attributes', 'an object of strings is expected')
    const keys = Object.keys(value)
    if (keys.length > attributesMax) {
      return this.#wrong(index, 'attributes', `at most ${attributesMax} attributes are allowed`)
    }
    const attributes: Array<readonly [string, string]> = []
    for (const key of keys.toSorted()) {
      const text = value[key]
      if (key === '' || !hasAtMost(key, attributeKeyMax)) {
        return this.#wrong(index, attributeAt(key), `a key of 1 to ${attributeKeyMax} characters is expected`)
      }
      if (typeof text !== 'string' || !hasAtMost(text, attributeValueMax)) {
        return this.#wrong(index, attributeAt(key), `a string of at most ${attributeValueMax} characters is expected`)
      }
      if (key === TRACEPARENT && !isTraceparent(text)) {
        return this.#wrong(
          index,
          'attributes.traceparent',
          'a traceparent of W3C Trace Context, version 00, is expected',
        )
      }
      if (source.mayHoldSurrogates && (hasLoneSurrogate(key) || hasLoneSurrogate(text))) {
        return this.#surrogate(index, 'attributes')
      }
      attributes.push([key, text])
    }
    this.#attributes = attributes.length === 0 ? null : attributes
    return null
  }

  /** Ids are checked one by one later: one that is outside the pattern fails alone. */
  #readDevices(value: unknown, index: number): Refusal | null {
    if (!Array.isArray(value) || value.length === 0) {
      return this.#wrong(index, 'devices', 'an array of one or more device ids is expected')
    }
    const devices: string[] = []
    for (const [i, id] of value.entries()) {
      if (typeof id !== 'string') return this.#wrong(index, `devices[${i}]`, 'a string is expected')
      devices.push(id)
    }
    if (new Set(devices).size !== devices.length) {
      return this.#wrong(index, 'devices', 'each device may be named once')
    }
    this.devices = devices
    return null
  }

  #payloadFault(fault: PayloadFault, index: number, field: string): Refusal {
    if (fault === 'too_large') {
      return this.#refuse('payload_too_large', index, field, `at most ${this.#payloadMax} bytes are allowed`)
    }
    const expected =
      fault === 'not_base64'
        ? 'standard base64 with padding (RFC 4648, section 4) is expected'
        : 'the value is nested too deep; send it as a string'
    return this.#wrong(index, field, expected)
  }

  #bothPayloads(index: number): Refusal {
    return this.#refuse('bad_request', index, '', 'only one of payload and payloadBase64 is allowed')
  }

  #surrogate(index: number, field: string): Refusal {
    return this.#wrong(
      index,
      field,
      'a string of whole characters is expected: half of a surrogate pair has no UTF-8 form',
    )
  }

  #unknown(index: number, key: string): Refusal {
    return this.#refuse('unknown_field', index, '', `the field ${quoteName(key)} does not exist`)
  }

  #wrong(index: number, field: string, expected: string): Refusal {
    return this.#refuse('bad_request', index, field, expected)
  }

  #refuse(code: ErrorCode, index: number, field: string, text: string): Refusal {
    const item = this.#place === 'batch' ? `messages[${index}]` : ''
    const path = item !== '' && field !== '' ? `${item}.${field}` : item + field
    return { code, message: path === '' ? text : `${path}: ${text}` }
  }
}
