// What the messages of these tests carry: their number, when they were made, and what fills them up.

export interface Mark {
  readonly number: number
  /** Milliseconds of `performance.now()` of this process. */
  readonly at: number
}

/** `now`: of a clock that its reader has, too. */
export function writeMark(number: number, bytes = 0, now = performance.now()): string {
  return `${number} ${now.toFixed(3)} `.padEnd(bytes, 'x')
}

/** Throws on a payload that is none of ours. */
export function readMark(payload: string | Buffer): Mark {
  const [number, at] = payload.toString('latin1', 0, 64).split(' ')
  const mark = { number: Number(number), at: Number(at) }
  if (!Number.isInteger(mark.number) || mark.number < 1)
    throw new Error(`not a payload of this test: ${String(number)}`)
  return mark
}

/** The seq in `inbox/{id}/{seq}`; null for `inbox/{id}`. */
export function seqOf(topic: string): number | null {
  const seq = topic.split('/')[2]
  return seq === undefined ? null : Number(seq)
}
