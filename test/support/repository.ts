// The repository as a list of files, for the tests that hold its rules.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const repositoryRoot = fileURLToPath(new URL('../../', import.meta.url)).replace(/[\\/]$/, '')

/** Folders that hold what is installed, built, or written by runs; git ignores them too. */
const NOT_OURS = new Set(['node_modules', '.git', '.tap', '.bench', 'dist', 'data', 'tap-testdir'])
const GENERATED = new Set(['package-lock.json'])

function collect(folder: string, into: string[]): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (NOT_OURS.has(entry.name) || GENERATED.has(entry.name) || entry.name.endsWith('.tsbuildinfo')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!entry.name.startsWith('tap-testdir')) collect(path, into)
    } else if (entry.isFile()) into.push(relative(repositoryRoot, path).split(sep).join('/'))
  }
}

/** Paths of every file that belongs to the project, relative to its root, with `/`, sorted. */
export function repositoryFiles(): readonly string[] {
  const files: string[] = []
  collect(repositoryRoot, files)
  return files.toSorted()
}

/** The text of a file of the project. */
export function readRepositoryFile(path: string): string {
  return readFileSync(join(repositoryRoot, path), 'utf8')
}

export interface Import {
  readonly specifier: string
  /** Nothing of it is there at run time. */
  readonly typeOnly: boolean
}

/** Every module that a TypeScript or JavaScript text imports or exports from. */
export function importsOf(text: string): readonly Import[] {
  const found: Import[] = []
  const pattern =
    /\b(?:import|export)\b(\s+type\b)?[^'";]*?\bfrom\s+['"]([^'"\n]+)['"]|\bimport\s*\(?\s*['"]([^'"\n]+)['"]/g
  for (const match of text.matchAll(pattern)) {
    const specifier = match[2] ?? match[3]
    if (specifier !== undefined) found.push({ specifier, typeOnly: match[1] !== undefined })
  }
  return found
}

/** The cells of every row of every table in a Markdown text that begins with a code span: ``| `name` | … |``. */
export function tableRows(markdown: string): ReadonlyArray<readonly string[]> {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, line.lastIndexOf('|'))
        .split('|')
        .map((cell) => cell.trim()),
    )
}

/** The part of a Markdown text under the heading `title` (of any level), up to the next heading of the same level. */
export function sectionOf(markdown: string, title: string): string {
  const lines = markdown.split('\n')
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === title)
  if (start < 0) throw new RangeError(`no heading "${title}"`)
  const level = (lines[start] ?? '').indexOf(' ')
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => /^#+ /.test(line) && line.indexOf(' ') <= level)
  return (end < 0 ? rest : rest.slice(0, end)).join('\n')
}

/** A test that a page names: - `test/unit/subject.test.ts`: “subject: behaviour” */
export interface NamedTest {
  readonly file: string
  readonly title: string
}

const NAMED_TEST = /^- `(test\/[^`]+)`: “(.+)”$/

/** The tests that a part of a page lists. A line of the list that is malformed has no title. */
export function testsNamedIn(markdown: string): readonly NamedTest[] {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('- '))
    .map((line) => {
      const match = NAMED_TEST.exec(line)
      return { file: match?.[1] ?? line, title: match?.[2] ?? '' }
    })
}

/** True when the file is there and has the title where a test's title stands: as a string literal. */
export function hasTest({ file, title }: NamedTest): boolean {
  if (title === '' || !existsSync(join(repositoryRoot, file))) return false
  const text = readRepositoryFile(file)
  const inSingleQuotes = title.replaceAll("'", "\\'")
  return [`'${inSingleQuotes}'`, `"${title}"`, `\`${title}\``].some((literal) => text.includes(literal))
}
