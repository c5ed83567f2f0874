/** A value to keep under a key, or null: forget the key. */
export type StorageChange = readonly [key: string, value: Uint8Array | null]

/**
 * Where a client keeps what must survive the process: what was handled, what was sent up and is not stored by the server yet,
 * what was parked. Three methods, so that an application can keep it in its own database.
 *
 * The client reads everything once, and then only writes; one call at a time, and never a call before the last one has ended.
 * There are at most some thousand keys, of up to 300 characters, and the values are small, but for parked messages and uplinks,
 * which are as large as their payloads. A storage belongs to one device, and to one client at a time.
 */
export interface Storage {
  /**
   * True: nothing of it outlives the process. The client then writes once, when it is closed, so that a later client of the
   * same process can go on with it. Absent is false.
   */
  readonly volatile?: boolean

  /**
   * Everything that was written: the last value of every key that was not forgotten. Called once, first. A rejection ends the
   * client with `storage_failed`, or with the PostriderError that it is.
   */
  load(): Promise<ReadonlyMap<string, Uint8Array>>

  /**
   * Keeps all the changes or none of them. Resolves when they outlive the end of the process, whatever ends it, and as far as
   * the storage promises, the machine's. A rejection ends the client with `storage_failed`: what was not kept is not
   * acknowledged to the server either. The arrays are the storage's to keep.
   */
  write(changes: readonly StorageChange[]): Promise<void>

  /** The client is done with it. What was written stays. */
  close(): Promise<void>
}
