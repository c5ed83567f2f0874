// The format of everything that is stored in MongoDB. Nodes of two versions that follow each other share a store while one takes the
// place of the other: a version writes one format, and reads those before it and the next one. So the next one may only add fields;
// this one leaves them as they are (a change sets the fields that it knows, and of a device's record it writes back the others).

/** What is written. */
export const FORMAT = 1
/** The newest that is read. */
export const NEWEST_FORMAT = FORMAT + 1

/** Throws RangeError for a format that nobody wrote, or that is too new. */
export function readableFormat(format: number, what: string): number {
  if (format >= 1 && format <= NEWEST_FORMAT) return format
  throw new RangeError(`${what} has the unknown format ${format}`)
}
