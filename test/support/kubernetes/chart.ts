// The chart as real Helm renders it.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { repositoryRoot } from '../repository.js'
import { HELM } from './tools.js'

const run = promisify(execFile)

export const CHART = join(repositoryRoot, 'k8s')
export const VALUES_FILES = ['values-evaluation.yaml', 'values-redis.yaml', 'values-mongodb.yaml'] as const

/** Any part of a manifest: read with `at`, and checked where it is used. */
export type Json = unknown

export interface Manifest {
  readonly kind: string
  readonly name: string
  readonly content: Json
}

export interface RenderOptions {
  /** Names of the chart's own files of values. */
  readonly files?: readonly string[]
  readonly values?: object
  readonly release?: string
  /** Another one than the repository's. */
  readonly chart?: string
  /** What the cluster says that it has, such as `v1/Secret`. */
  readonly apiVersions?: readonly string[]
}

export interface Run {
  readonly ok: boolean
  readonly stdout: string
  readonly stderr: string
}

/** Runs a tool to its end, whatever the end is. */
export async function runTool(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const { NODE_OPTIONS: _, ...rest } = process.env
  try {
    const { stdout, stderr } = await run(command, [...args], { maxBuffer: 64 * 1024 ** 2, env: { ...rest, ...env } })
    return { ok: true, stdout, stderr }
  } catch (error) {
    const text = (name: string): string =>
      error instanceof Error && name in error ? String(Object.entries(error).find(([key]) => key === name)?.[1]) : ''
    return { ok: false, stdout: text('stdout'), stderr: text('stderr') || String(error) }
  }
}

/** `--set-json` for each top-level key: no file is needed, and null stays null. */
export function valueFlags({ files = [], values = {} }: RenderOptions): readonly string[] {
  return [
    ...files.flatMap((file) => ['--values', join(CHART, file)]),
    ...Object.entries(values).flatMap(([key, value]) => ['--set-json', `${key}=${JSON.stringify(value)}`]),
  ]
}

export function tryRender(options: RenderOptions = {}): Promise<Run> {
  const { release = 'postrider', chart = CHART, apiVersions = [] } = options
  const has = apiVersions.flatMap((each) => ['--api-versions', each])
  return runTool(HELM.command, ['template', release, chart, '--namespace', 'push', ...has, ...valueFlags(options)])
}

export function manifestsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(`${document.errors.join('; ')}\n${text}`)
    const content: Json = document.toJS()
    return content === null ? [] : [{ kind: string(content, 'kind'), name: string(content, 'metadata.name'), content }]
  })
}

/** What the chart renders to. Rejects with what Helm says. */
export async function render(options: RenderOptions = {}): Promise<readonly Manifest[]> {
  const { ok, stdout, stderr } = await tryRender(options)
  if (!ok) throw new Error(stderr)
  return manifestsIn(stdout)
}

/** What is at a place such as `spec.template.spec.containers.0.env`; undefined: nothing. */
export function at(content: Json, path: string): Json {
  let here: Json = content
  for (const key of path.split('.')) {
    if (typeof here !== 'object' || here === null) return undefined
    here = new Map<string, unknown>(Object.entries(here)).get(key)
  }
  return here
}

export function string(content: Json, path: string): string {
  const found = at(content, path)
  return typeof found === 'string' || typeof found === 'number' ? String(found) : ''
}

export function array(content: Json, path: string): readonly Json[] {
  const found = at(content, path)
  return Array.isArray(found) ? found : []
}

/** The keys and values at a place; none where there is no object. */
export function entries(content: Json, path?: string): ReadonlyArray<readonly [string, unknown]> {
  const found = path === undefined ? content : at(content, path)
  return typeof found === 'object' && found !== null ? Object.entries(found) : []
}

/** A manifest's pod, with its labels; null: it has none. */
export function podOf({ kind, content }: Manifest): { readonly spec: Json; readonly labels: Json } | null {
  if (kind === 'Pod') return { spec: at(content, 'spec'), labels: at(content, 'metadata.labels') }
  const template = at(content, 'spec.template')
  if (template === undefined) return null
  return { spec: at(template, 'spec'), labels: at(template, 'metadata.labels') }
}

/** The variables of a container: name → value; those by reference as `secret/key`. */
export function environmentOf(container: Json): ReadonlyMap<string, string> {
  return new Map(
    array(container, 'env').map((each) => {
      const reference = 'valueFrom.secretKeyRef'
      const value = at(each, reference)
        ? `${string(each, `${reference}.name`)}/${string(each, `${reference}.key`)}`
        : string(each, 'value')
      return [string(each, 'name'), value]
    }),
  )
}

export function manifest(manifests: readonly Manifest[], kind: string, name: string): Json {
  const found = manifests.find((each) => each.kind === kind && each.name === name)
  if (found === undefined) {
    throw new RangeError(`no ${kind} ${name} among ${manifests.map((each) => `${each.kind} ${each.name}`).join(', ')}`)
  }
  return found.content
}
