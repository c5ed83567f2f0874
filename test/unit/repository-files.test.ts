import tap from 'tap'
import { existsSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, extname, join } from 'node:path/posix'
import { readRepositoryFile, repositoryFiles, repositoryRoot } from '../support/repository.js'

const MAX_LINES = 400
const CODE = new Set(['.ts', '.js', '.mjs', '.cjs', '.lua', '.c', '.sh'])
const files = repositoryFiles()
const isText = (path: string): boolean => !/\.(png|jpg|ico|gz|bin)$/.test(path)

await tap.test('repository: a file is at most 400 lines, or its first lines say why not', async (t) => {
  const long = files
    .filter((path) => CODE.has(extname(path)))
    .flatMap((path) => {
      const lines = readRepositoryFile(path).split('\n')
      const says = lines.slice(0, 10).some((line) => line.includes(`${MAX_LINES} lines`))
      return lines.length - 1 > MAX_LINES && !says ? [`${path}: ${lines.length - 1} lines`] : []
    })
  t.same(long, [])
})

await tap.test('repository: names of files and folders are kebab-case', async (t) => {
  const customary = new Set(['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'sdk/README.md'])
  const kebab = /^\.?[a-z0-9]+(?:[-.][a-z0-9]+)*$/
  // Docker and Helm look for files of these names; what Helm is not to render begins with an underscore.
  customary.add('Dockerfile').add('k8s/Chart.yaml').add('k8s/templates/NOTES.txt')
  const partial = /^k8s\/templates\/_[a-z-]+\.tpl$/
  const wrong = files.filter(
    (path) => !partial.test(path) && !customary.has(path) && !path.split('/').every((part) => kebab.test(part)),
  )
  t.same(wrong, [])
})

await tap.test('repository: nothing is left open or silenced', async (t) => {
  // Put together from parts, so that this file does not find itself.
  const words = [
    ['TO', 'DO'],
    ['FIX', 'ME'],
    ['XX', 'X'],
    ['@ts', '-ignore'],
    ['@ts', '-expect-error'],
    // A lint rule may be switched off for a place where the reason stands: `-- why`.
    ['oxlint', '-disable(?![^\\n]* -- \\S)'],
    ['eslint', '-disable'],
  ].map((parts) => parts.join(''))
  const found = files.filter(isText).flatMap((path) => {
    const text = readRepositoryFile(path)
    return words.filter((word) => new RegExp(`(?<!\\w)${word}(?!\\w)`).test(text)).map((word) => `${path}: ${word}`)
  })
  t.same(found, [])
})

await tap.test('repository: no path of one machine is in any file', async (t) => {
  const places = [repositoryRoot, homedir()].filter((path) => path.split('/').length > 2)
  const homes = /(?<![\w.:-])\/(?:home|Users)\/[a-z]|\b[A-Z]:\\\\?Users\\/
  const found = files.filter(isText).flatMap((path) => {
    const text = readRepositoryFile(path)
    return [...places.filter((place) => text.includes(place)), ...(homes.exec(text) ?? [])].map(
      (place) => `${path}: ${place}`,
    )
  })
  t.same(found, [])
})

/** GitHub's anchor of a heading, as far as our headings need it. */
function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

function anchorsOf(path: string): ReadonlySet<string> {
  const prose = readRepositoryFile(path).replace(/^```[\s\S]*?^```/gm, '')
  return new Set([...prose.matchAll(/^#+ (.+)$/gm)].map((match) => anchorOf(match[1] ?? '')))
}

await tap.test('repository: relative links in Markdown lead somewhere', async (t) => {
  let seen = 0
  const broken = files
    .filter((path) => path.endsWith('.md'))
    .flatMap((path) => {
      const prose = readRepositoryFile(path)
        .replace(/^```[\s\S]*?^```/gm, '')
        .replace(/`[^`\n]*`/g, '')
      return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
        const link = match[1] ?? ''
        if (/^[a-z]+:/.test(link)) return []
        seen++
        const [target = '', anchor] = link.split('#')
        const file = target === '' ? path : join(dirname(path), target)
        if (!existsSync(join(repositoryRoot, file))) return [`${path}: ${link}`]
        if (anchor === undefined || statSync(join(repositoryRoot, file)).isDirectory()) return []
        return anchorsOf(file).has(anchor) ? [] : [`${path}: ${link} (no such heading)`]
      })
    })
  t.ok(seen > 0, 'there are links to follow')
  t.same(broken, [])
})

await tap.test('repository: the scripts that are run are executable', async (t) => {
  const scripts = files.filter(
    (path) => path === '.ci/run' || path === '.ci/chart-tools' || path.startsWith('cli/bin/'),
  )
  t.ok(scripts.map((path) => basename(path)).includes('run'), '.ci/run is there')
  for (const path of scripts) {
    t.ok(readRepositoryFile(path).startsWith('#!/usr/bin/env '), `${path} names its interpreter`)
    t.equal(statSync(join(repositoryRoot, path)).mode & 0o111, 0o111, `${path} is executable`)
  }
})
