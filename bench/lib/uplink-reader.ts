// What a backend finds of the uplink of a run, held against what the devices were told.
import { array, nullable, object, string } from './decode.js'
import { ReceivedLedger, type ReceivedSummary } from './checker.js'
import { hasMark, markDevice, markNumber } from './marks.js'
import type { Postrider } from './server.js'

const PAGE = 1000
const pageOf = object({
  uplink: array(object({ device: string, payload: string })),
  next: nullable(string),
})

/** Reads the whole log of the devices `d0` to `d<count - 1>`. */
export async function readUplink(server: Postrider, idPrefix: string, count: number): Promise<ReceivedSummary> {
  const ledger = new ReceivedLedger(0, count)
  for (let after: string | null = null, more = true; more;) {
    const query: string = after === null ? '' : `&after=${encodeURIComponent(after)}`
    const response = await fetch(`http://${server.host}:${server.ports.http}/v1/uplink?limit=${PAGE}${query}`, {
      headers: { authorization: `Bearer ${server.apiKey}` },
    })
    const page = pageOf(await response.json(), 'page')
    for (const { device, payload } of page.uplink) {
      const bytes = Buffer.from(payload, 'latin1')
      const marked = hasMark(bytes, 0, bytes.length) && `${idPrefix}${markDevice(bytes, 0)}` === device
      if (marked) ledger.note(markDevice(bytes, 0), markNumber(bytes, 0))
      else ledger.foreign++
    }
    after = page.next
    more = after !== null
  }
  return ledger.summary()
}
