// The yardstick of `latency`: how long LMDB alone takes to put one record of the same size and flush it, at the same pace.
// Puts fall due in time and do not wait for each other, as the messages of the product do. With a rate of 0 it is the yardstick
// of `uplink`: so many writers, each of which waits for its flush before its next put.
//
//   node --import=tsx put-flush.ts <data folder> <records per second> <records> <record bytes> [writers]
//   prints {"p50":…,"p99":…,"p999":…} in milliseconds, and with a rate of 0 {…,"perSecond":…}
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { open } from 'lmdb'
import { Histogram } from '../lib/histogram.js'
import { nowMicros } from '../lib/marks.js'

const PACE_MS = 1

async function main(folder: string, rate: number, records: number, bytes: number, writers: number): Promise<void> {
  const store = open<Buffer, number>({
    path: join(folder, 'store.mdb'),
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'uint32',
  })
  const latencies = new Histogram()
  const record = Buffer.alloc(bytes, 'x')
  const put = async (key: number, since: number): Promise<void> => {
    await store.put(key, record)
    await store.flushed
    latencies.record(nowMicros() - since)
  }
  const began = nowMicros()
  if (rate === 0) {
    let next = 0
    const writer = async (): Promise<void> => {
      while (next < records) await put(next++, nowMicros())
    }
    await Promise.all(Array.from({ length: writers }, writer))
    const perSecond = (records / (nowMicros() - began)) * 1e6
    await store.close()
    console.log(JSON.stringify({ ...latencies.summary(), perSecond }))
    return
  }
  const all: Array<Promise<void>> = []
  while (all.length < records) {
    const now = nowMicros()
    const due = Math.min(records, Math.floor(((now - began) / 1e6) * rate))
    while (all.length < due) all.push(put(all.length, now))
    await delay(PACE_MS)
  }
  await Promise.all(all)
  await store.close()
  console.log(JSON.stringify(latencies.summary()))
}

const [folder = '.', ...numbers] = process.argv.slice(2)
const [rate = 1000, records = 1000, bytes = 128, writers = 1] = numbers.map(Number)
await main(folder, rate, records, bytes, writers)
