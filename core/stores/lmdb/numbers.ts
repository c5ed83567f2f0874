// Numbers kept by name in the table `meta`.

import { metaKey, type Tables } from './tables.js'

/** Null: never written. */
export function readNumber(tables: Tables, name: string): number | null {
  const value = tables.meta.get(metaKey(name))
  return value === undefined ? null : value.readDoubleBE(0)
}

/** With the transaction that is open. */
export function writeNumber(tables: Tables, name: string, value: number): void {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  void tables.meta.put(metaKey(name), bytes)
}
