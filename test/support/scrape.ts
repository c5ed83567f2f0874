// What Prometheus sees of a node: its metrics, by family.

import type { TestServer } from './server.js'

export interface ScrapedSample {
  /** With `_bucket`, `_sum`, `_count` of histograms. */
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

export interface ScrapedFamily {
  readonly help: string
  readonly type: string
  readonly samples: readonly ScrapedSample[]
}

const SAMPLE = /^([a-z][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"/g

/** By name. Throws on a line that is none of the text format. */
export function parseScrape(text: string): ReadonlyMap<string, ScrapedFamily> {
  const families = new Map<string, { help: string; type: string; samples: ScrapedSample[] }>()
  let family = { help: '', type: '', samples: [] as ScrapedSample[] }
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [mark, kind = '', name = '', ...rest] = line.split(' ')
    if (mark === '#') {
      if (kind === 'HELP') {
        family = { help: rest.join(' '), type: '', samples: [] }
        families.set(name, family)
      } else family.type = rest.join(' ')
      continue
    }
    const [, sample = '', labels = '', value = ''] = SAMPLE.exec(line) ?? []
    if (sample === '') throw new Error(`no line of a scrape: ${line}`)
    const pairs = [...labels.matchAll(LABEL)].map(([, key = '', word = '']) => [key, word] as const)
    family.samples.push({ name: sample, labels: new Map(pairs), value: Number(value) })
  }
  return families
}

export async function scrape(server: Pick<TestServer, 'adminUrl'>): Promise<ReadonlyMap<string, ScrapedFamily>> {
  const response = await fetch(`${server.adminUrl}/metrics`)
  if (response.status !== 200) throw new Error(`/metrics answers ${response.status}`)
  return parseScrape(await response.text())
}
