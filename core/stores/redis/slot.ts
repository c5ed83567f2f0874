// The slot of a key in a Redis Cluster: CRC16 (XMODEM) of its hash tag, or of all of it, modulo 16,384.

const SLOTS = 16_384

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  return crc & 0xffff
})

function crcOf(text: string): number {
  let crc = 0
  for (let i = 0; i < text.length; i++)
    crc = ((crc << 8) ^ (TABLE[((crc >> 8) ^ text.charCodeAt(i)) & 0xff] ?? 0)) & 0xffff
  return crc
}

/** For each slot a hash tag that leads to it: the least number that does. Never changed: keys are made of them. */
export function slotTags(): readonly string[] {
  const tags = Array.from<string>({ length: SLOTS }).fill('')
  for (let n = 0, found = 0; found < SLOTS; n++) {
    const tag = String(n)
    const slot = crcOf(tag) % SLOTS
    if (tags[slot] !== '') continue
    tags[slot] = tag
    found++
  }
  return tags
}

export function slotOf(key: string): number {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) ^ (TABLE[((crc >> 8) ^ byte) & 0xff] ?? 0)) & 0xffff
  return crc % SLOTS
}
