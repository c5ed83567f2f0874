// The slot of a key in a Redis Cluster: CRC16 (XMODEM) of its hash tag, or of all of it, modulo 16,384.

const SLOTS = 16_384

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  return crc & 0xffff
})

const step = (crc: number, code: number): number => ((crc << 8) ^ (TABLE[((crc >> 8) ^ code) & 0xff] ?? 0)) & 0xffff

/** For each slot a hash tag that leads to it: the least number that does. Never changed: keys are made of them. */
export function slotTags(): readonly string[] {
  const tags = Array.from<string>({ length: SLOTS }).fill('')
  // Of every number so far; that of the next one goes on from the number without its last digit.
  const crcs: number[] = []
  for (let n = 0, found = 0; found < SLOTS; n++) {
    const crc = step(n < 10 ? 0 : (crcs[Math.floor(n / 10)] ?? 0), 0x30 + (n % 10))
    crcs.push(crc)
    if (tags[crc % SLOTS] !== '') continue
    tags[crc % SLOTS] = String(n)
    found++
  }
  return tags
}

export function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (const byte of Buffer.from(hashed)) crc = step(crc, byte)
  return crc % SLOTS
}
