/** Bytes of `text` in UTF-8, without an encoder: not every runtime of this folder has one. Half a surrogate pair counts 3. */
export function utf8Length(text: string): number {
  let size = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    if (code < 0x800) size++
    else {
      size += 2
      const next = text.charCodeAt(i + 1)
      if (code >= 0xd800 && code <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) i++ // two units, four bytes
    }
  }
  return size
}
