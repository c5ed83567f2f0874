// docs/licences.md: what the published packages bring along, and under which licence, as the lock file says.

interface LockedPackage {
  readonly license?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly link?: boolean
}

export interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>
}

/** Name → licence of everything that is there at run time; optional parts of other platforms too. */
export function runtimeLicences({ packages }: Lockfile): ReadonlyMap<string, string> {
  const found = Object.entries(packages).flatMap(([path, { license, dev, devOptional, link }]) => {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const ours = !path.includes('node_modules/') || link === true
    return ours || dev === true || devOptional === true ? [] : [[name, license ?? 'unknown'] as const]
  })
  return new Map(found.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

export function licencesPage(lockfile: Lockfile): string {
  const rows = [...runtimeLicences(lockfile)].map(([name, licence]) => `| ${name} | ${licence} |`)
  return `${[
    '# Licences',
    '<!-- Made from package-lock.json: npm run docs:licences -->',
    'Postrider is under the [Apache License 2.0](../LICENSE). What its packages need at run time, with what those need; versions are in `package-lock.json`, and `npm run sbom --silent` makes a bill of materials of them ([dependencies](dependencies.md)).',
    ['| package | licence |', '| --- | --- |', ...rows].join('\n'),
  ].join('\n\n')}\n`
}
