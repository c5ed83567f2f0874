// The format of everything that is stored in Redis or sent over its bus. Nodes of two versions that follow each other share a store
// while one takes the place of the other (a rolling upgrade, or the way back): a version writes one format, and reads those before
// it and the next one. So the next one may only add, where every reader finds out how much there is:
//
//   a device's record   fields behind those that are known; they are written back as they were
//   entries, packets    behind the head: u32 length, and so many bytes, which a reader skips. From format 2 on
//   JSON                fields
//
// What has to change in another way takes two versions: one that can read it, and then one that writes it (ADR 18).

/** What is written. */
export const FORMAT = 1
/** The newest that is read. */
export const NEWEST_FORMAT = FORMAT + 1
/** From this one on, entries and packets have room for additions. */
const ADDITIONS_SINCE = 2

/** Throws RangeError for a format that nobody wrote, or that is too new. */
export function readableFormat(format: unknown, what: string): number {
  if (typeof format === 'number' && format >= 1 && format <= NEWEST_FORMAT) return format
  throw new RangeError(`${what} has the unknown format ${typeof format === 'number' ? format : 'none'}`)
}

/** Where goes on what this version knows. Throws RangeError. */
export const behindAdditions = (bytes: Buffer, at: number, format: number): number =>
  format < ADDITIONS_SINCE ? at : at + 4 + bytes.readUInt32BE(at)
