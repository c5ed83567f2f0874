// A real Prometheus of the test's own, which scrapes what the test tells it to.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { stringify } from 'yaml'
import { Child } from '../child.js'
import { freePort } from '../redis/server.js'
import { until } from '../road/wait.js'
import { PROMETHEUS } from './tools.js'

export interface PrometheusOptions {
  /** Between scrapes, and between looks at the rules. */
  readonly intervalMs: number
  /** A file of rules. */
  readonly rules?: object
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function field(value: unknown, ...path: readonly string[]): unknown {
  let at = value
  for (const name of path) at = isRecord(at) ? at[name] : undefined
  return at
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

const labelsOf = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(isRecord(value) ? value : {}).map(([name, text]) => [name, String(text)]))

export class TestPrometheus {
  readonly url: string
  readonly #targetsFile: string

  private constructor(url: string, targetsFile: string) {
    this.url = url
    this.#targetsFile = targetsFile
  }

  static async start(t: Test, folder: string, { intervalMs, rules }: PrometheusOptions): Promise<TestPrometheus> {
    const port = await freePort()
    const targetsFile = join(folder, 'targets.json')
    const config = {
      global: {
        scrape_interval: `${intervalMs}ms`,
        scrape_timeout: `${intervalMs}ms`,
        evaluation_interval: `${intervalMs}ms`,
      },
      scrape_configs: [{ job_name: 'postrider', file_sd_configs: [{ files: [targetsFile], refresh_interval: '1s' }] }],
      ...(rules === undefined ? {} : { rule_files: [join(folder, 'rules.yaml')] }),
    }
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'config.yaml'), stringify(config))
    if (rules !== undefined) writeFileSync(join(folder, 'rules.yaml'), stringify(rules, { lineWidth: 0 }))
    const made = new TestPrometheus(`http://127.0.0.1:${port}`, targetsFile)
    made.scrape([])
    const child = new Child(t, PROMETHEUS, [
      `--config.file=${join(folder, 'config.yaml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ])
    await until(
      'Prometheus to be ready',
      async () => {
        if (child.status !== null) throw new Error(`it ended: ${child.stderr}`)
        const answer = await fetch(`${made.url}/-/ready`).catch(() => null)
        return answer?.ok === true
      },
      60_000,
    )
    return made
  }

  /** From now on these nodes, by the URLs of their admin ports. */
  scrape(adminUrls: readonly string[]): void {
    const targets = adminUrls.map((url) => new URL(url).host)
    writeFileSync(this.#targetsFile, JSON.stringify([{ targets, labels: {} }]))
  }

  async query(expr: string): Promise<readonly Sample[]> {
    const response = await fetch(`${this.url}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query: expr }),
    })
    const answer: unknown = await response.json()
    if (field(answer, 'status') !== 'success') throw new Error(`${expr}: ${JSON.stringify(answer)}`)
    return listOf(field(answer, 'data', 'result')).map((one) => ({
      labels: labelsOf(field(one, 'metric')),
      value: Number(listOf(field(one, 'value'))[1]),
    }))
  }

  /** Names of the alerts that fire now. */
  async firing(): Promise<ReadonlySet<string>> {
    const samples = await this.query('ALERTS{alertstate="firing"}')
    return new Set(samples.map(({ labels }) => labels['alertname'] ?? ''))
  }

  /** Names of the alerts that have fired in the last so many seconds. */
  async fired(seconds: number): Promise<ReadonlySet<string>> {
    const samples = await this.query(`max_over_time(ALERTS{alertstate="firing"}[${Math.ceil(seconds)}s])`)
    return new Set(samples.map(({ labels }) => labels['alertname'] ?? ''))
  }
}
