// What can be seen of a test server from outside: its metrics and its memory.

import { readFileSync } from 'node:fs'
import type { TestServer } from '../server.js'

/** The sum of a metric's samples whose labels contain `label` (such as `reason="slow_consumer"`). */
export async function metric(server: TestServer, name: string, label = ''): Promise<number> {
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text()
  const samples = text
    .split('\n')
    .filter((line) => line.startsWith(`postrider_${name} `) || line.startsWith(`postrider_${name}{`))
  if (samples.length === 0) throw new Error(`no metric postrider_${name}`)
  return samples
    .filter((line) => line.includes(label))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

const megabytes = (server: TestServer, field: 'RssAnon' | 'VmRSS'): number => {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
}

/** Megabytes of the server that are its own: without the mapped pages of the store. Linux only. */
export const ownMegabytes = (server: TestServer): number => megabytes(server, 'RssAnon')

/** All that is in memory, with mapped files. Linux only. */
export const residentMegabytes = (server: TestServer): number => megabytes(server, 'VmRSS')

/** Latencies in milliseconds. */
export class Latencies {
  #values: number[] = []

  readonly add = (ms: number): void => {
    this.#values.push(ms)
  }

  /** Those since the last call. */
  take(): { readonly count: number; readonly p50: number; readonly p99: number; readonly max: number } {
    const sorted = this.#values.toSorted((a, b) => a - b)
    this.#values = []
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
  }
}
