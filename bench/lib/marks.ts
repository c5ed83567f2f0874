// The mark every benchmark message begins with: which device it is for, its number among that device's messages, and when
// it was sent. Fixed width and ASCII, so that it survives JSON unescaped and is read from a buffer without a scan.
//
//   !ddddddnnnnnnnnuuuuuuuuuuuuu!   hexadecimal: device index (6), number (8, from 1), microseconds (13)

const DEVICE_DIGITS = 6
const NUMBER_DIGITS = 8
const TIME_DIGITS = 13
const FENCE = 0x21 // '!'
const NUMBER_AT = 1 + DEVICE_DIGITS
const TIME_AT = NUMBER_AT + NUMBER_DIGITS
const END_AT = TIME_AT + TIME_DIGITS
export const MARK_BYTES = END_AT + 1

/** Microseconds on the clock that all processes of this machine share (CLOCK_MONOTONIC). */
export function nowMicros(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e6 + Math.floor(nanoseconds / 1000)
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

/** The time part, computed once for the messages of one request. */
export const timeMark = (micros: number): string => hex(micros, TIME_DIGITS)
/** The device part, computed once per device. */
export const deviceMark = (device: number): string => `!${hex(device, DEVICE_DIGITS)}`
/** The whole mark. */
export const mark = (device: string, number: number, time: string): string =>
  `${device}${hex(number, NUMBER_DIGITS)}${time}!`

/** Value of an ASCII hexadecimal digit; -1 for other bytes. Lower case only. */
const DIGITS = new Int8Array(256).fill(-1)
for (let digit = 0; digit < 16; digit++) DIGITS[digit.toString(16).charCodeAt(0)] = digit

function readHex(bytes: Uint8Array, from: number, to: number): number {
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = DIGITS[bytes[i] ?? 0] ?? -1
    if (digit < 0) return -1
    value = value * 16 + digit
  }
  return value
}

/** True when a mark stands at `at`; its parts are then read by the functions below (no object a message). */
export function hasMark(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= MARK_BYTES && bytes[at] === FENCE && bytes[at + END_AT] === FENCE
}
/** Device index, or -1 when the digits are broken. */
export const markDevice = (bytes: Uint8Array, at: number): number => readHex(bytes, at + 1, at + NUMBER_AT)
export const markNumber = (bytes: Uint8Array, at: number): number => readHex(bytes, at + NUMBER_AT, at + TIME_AT)
export const markMicros = (bytes: Uint8Array, at: number): number => readHex(bytes, at + TIME_AT, at + END_AT)
