// The files of the page for development: the page that comes with the command, and the SDK's modules for browsers out of the
// command's own build.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DevFile } from '../push-api/routes/dev-page.js'

/** The folders of the package. The build is next to this file's folder: `dist/cli/` in `dist/`. */
export const DEV_PAGE_PLACES = {
  build: fileURLToPath(new URL('../', import.meta.url)),
  page: fileURLToPath(new URL('../../dev-page/index.html', import.meta.url)),
} as const

/** What a browser loads of the build; the rest of it is none of its business. */
const MODULES = ['sdk/browser.js', 'sdk/exports.js', 'sdk/browser', 'sdk/device', 'protocol'] as const
const SCRIPT = 'text/javascript; charset=utf-8'

/** Rejects when something is missing: the command is not built, or not whole. */
export async function readDevFiles(places: typeof DEV_PAGE_PLACES): Promise<ReadonlyMap<string, DevFile>> {
  const page = await readFile(places.page, 'utf8')
  const files = new Map<string, DevFile>([
    ['', { type: 'text/html; charset=utf-8', body: page, policy: policyFor(page) }],
  ])
  for (const module of MODULES) {
    for (const path of await scripts(places.build, module)) {
      files.set(`modules/${path}`, { type: SCRIPT, body: await readFile(join(places.build, path), 'utf8') })
    }
  }
  return files
}

async function scripts(build: string, path: string): Promise<readonly string[]> {
  if (path.endsWith('.js')) return [path]
  const names = await readdir(join(build, path), { recursive: true })
  return names.filter((name) => name.endsWith('.js')).map((name) => `${path}/${name.replaceAll('\\', '/')}`)
}

/** The page's own scripts by their hashes, modules of this server, connections of devices; nothing else. */
function policyFor(page: string): string {
  const hashes = [...page.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map(
    ([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`,
  )
  return [
    `default-src 'none'`,
    `script-src 'self' ${hashes.join(' ')}`,
    `connect-src 'self' ws: wss:`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ].join('; ')
}
