// What one device may have of the uplink that is kept, so that none can fill it for all.
//
// The store knows what all devices together have. What each has is reckoned here, in memory, by what it stored lately: a bucket
// with half of the share, which earns the other half in the time that uplink is kept. So in any such time a device stores no
// more than its share, and one uplink. A restart, or more devices than are remembered, begins the reckoning anew.

import { RateTable } from '../../core/limits/rate-table.js'
import type { Rate } from '../../core/limits/token-bucket.js'
import { type NewUplink, uplinkSize } from '../../core/ports/uplink.js'

/** The bucket for a share of so many bytes of what is kept for so long. */
export function uplinkShare(bytes: number, retentionSeconds: number): Rate {
  return { perSecond: bytes / 2 / retentionSeconds, burst: bytes / 2 }
}

export class UplinkShares {
  readonly #share: Rate
  readonly #kept: RateTable

  constructor(share: Rate) {
    this.#share = share
    this.#kept = new RateTable(share)
  }

  /**
   * How many of the uplinks of a device, from the first one on, it has room for: none behind one that it has not. Nothing is
   * counted yet. `now`: monotonic milliseconds.
   */
  roomFor(device: string, uplinks: readonly NewUplink[], now: number): number {
    if (!this.#kept.limits) return uplinks.length
    let bytes = 0
    const over = uplinks.findIndex((uplink, i) => {
      bytes += uplinkSize(uplink)
      // One that is larger than the whole bucket has room when the bucket is full, but nothing has behind it.
      return (i > 0 && bytes > this.#share.burst) || this.#kept.wait(device, now, bytes) > 0
    })
    return over === -1 ? uplinks.length : over
  }

  /** They are stored. */
  stored(device: string, bytes: number, now: number): void {
    if (bytes > 0) this.#kept.spend(device, bytes, now)
  }
}
