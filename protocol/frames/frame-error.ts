// Why bytes are not a frame. One error type with a code and the path of the field, so that both sides can name in a log what
// the other one did wrong, and so that implementations in other languages can be compared by the test vectors.

/** What can be wrong with bytes that should be a frame. `docs/wire.md` lists the same; a test holds them together. */
export const FRAME_ERRORS = {
  truncated: 'The bytes end before the value does',
  trailing_bytes: 'Bytes follow after the frame',
  not_msgpack: 'A byte that begins no MessagePack value (0xc1)',
  bad_utf8: 'A string is not valid UTF-8',
  too_deep: 'Arrays and maps are nested deeper than allowed',
  wrong_type: 'A value is not of the type that belongs there',
  duplicate_key: 'A map has a key twice',
  missing_field: 'A field is missing, or an array is too short',
  out_of_range: 'A number, a length or a count is outside its bounds',
  bad_value: 'A value is none of the allowed ones',
  bad_order: 'Seqs do not increase as they must',
  unknown_type: 'The frame is of no type that this direction has',
  unsupported_version: 'The version of the protocol is not spoken here',
} as const satisfies Record<string, string>

export type FrameErrorCode = keyof typeof FRAME_ERRORS

/** The only thing that encoding and decoding of frames throws. */
export class FrameError extends Error {
  readonly code: FrameErrorCode
  /** The field, such as `messages[3][7]` or `cursors["d:phone-1"][1]`; empty for the frame as a whole. */
  readonly path: string

  constructor(code: FrameErrorCode, path: string) {
    super(`${path === '' ? 'frame' : path}: ${FRAME_ERRORS[code]} (${code})`)
    this.name = 'FrameError'
    this.code = code
    this.path = path
  }
}
