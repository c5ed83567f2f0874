// Makes scripts.ts from the .lua files: `npm run build:scripts`. The scripts are embedded so that the package needs no files
// beside its JavaScript; a test compares the two.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const LUA = new URL('./lua/', import.meta.url)

function filesIn(folder: string): Array<readonly [name: string, text: string]> {
  const url = new URL(folder, LUA)
  return readdirSync(url)
    .filter((file) => file.endsWith('.lua'))
    .toSorted()
    .map((file) => [file.slice(0, -'.lua'.length), readFileSync(new URL(file, url), 'utf8')] as const)
}

/** The text of scripts.ts. */
export function embeddedScripts(): string {
  const record = (name: string, files: ReadonlyArray<readonly [string, string]>): string =>
    `export const ${name} = {\n${files.map(([key, text]) => `  '${key}': ${JSON.stringify(text)},\n`).join('')}} as const\n`
  return [
    '// Made from the files in lua/ by embed-scripts.ts (npm run build:scripts). Change those, not this.',
    '',
    record('SCRIPTS', filesIn('./')),
    record('LIBRARIES', filesIn('./lib/')),
  ].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(new URL('./scripts.ts', import.meta.url), embeddedScripts())
}
