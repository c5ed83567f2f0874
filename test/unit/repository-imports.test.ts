import tap from 'tap'
import { dirname, join } from 'node:path/posix'
import { importsOf, readRepositoryFile, repositoryFiles } from '../support/repository.js'

/** Which folders a folder may import from, besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  core: ['protocol'],
  courier: ['core', 'protocol'],
  broker: ['courier', 'core', 'protocol'],
  'push-api': ['courier', 'core', 'protocol'],
  cli: ['sdk', 'broker', 'push-api', 'courier', 'core', 'protocol'],
  sdk: ['protocol'],
}
const PRODUCT = Object.keys(MAY_IMPORT)

/** Packages that one part hides from the rest. */
const HIDDEN_PACKAGES: ReadonlyArray<{ readonly pattern: RegExp; readonly folders: readonly string[] }> = [
  { pattern: /^lmdb$/, folders: ['core/stores/lmdb/'] },
  { pattern: /^(aedes|aedes-persistence|mqemitter)$/, folders: ['broker/'] },
  { pattern: /^ws$/, folders: ['broker/', 'sdk/node/'] },
  { pattern: /^(fastify|fastify-plugin|@fastify\/.+)$/, folders: ['push-api/', 'core/admin/'] },
]

/**
 * What the bus over Redis shares with others on purpose: connections, keys, formats and bytes of the store on Redis, and the bus of one
 * process for the nodes that are its own.
 */
const REDIS = 'core/stores/redis'
const SHARED_BY_THE_REDIS_BUS: ReadonlySet<string> = new Set([
  ...['connections', 'formats', 'keys', 'message-codec', 'redis-errors', 'reply', 'script-loader'].map(
    (n) => `${REDIS}/${n}.js`,
  ),
  'core/bus/local/local-bus.js',
])
const isShared = (path: string, target: string | null): boolean =>
  path.startsWith('core/bus/redis/') && target !== null && SHARED_BY_THE_REDIS_BUS.has(target)

const folderOf = (path: string): string => path.split('/')[0] ?? ''

/** Every import of the project: the file, what it names, and the file of the project that it means (or null). */
const edges = repositoryFiles()
  .filter((path) => /\.(ts|js|mjs)$/.test(path))
  .flatMap((path) =>
    importsOf(readRepositoryFile(path)).map(({ specifier, typeOnly }) => ({
      path,
      specifier,
      typeOnly,
      target: specifier.startsWith('.') ? join(dirname(path), specifier) : null,
    })),
  )
const ofProduct = edges.filter((edge) => PRODUCT.includes(folderOf(edge.path)))

const named = (list: typeof edges): readonly string[] => list.map((edge) => `${edge.path} imports ${edge.specifier}`)

await tap.test('repository: imports run one way', async (t) => {
  t.ok(ofProduct.length > 0, 'there are imports to look at')
  const wrong = ofProduct.filter(({ path, target }) => {
    if (target === null) return false
    const from = folderOf(path)
    const to = folderOf(target)
    return from !== to && !(MAY_IMPORT[from] ?? []).includes(to)
  })
  t.same(named(wrong), [])
})

await tap.test('repository: protocol imports nothing but itself', async (t) => {
  t.same(named(edges.filter(({ path, target }) => folderOf(path) === 'protocol' && target === null)), [])
})

await tap.test('repository: only the composition files pick a store or a bus', async (t) => {
  // A type alone picks nothing, but only the command may know one.
  const wrong = ofProduct.filter(({ path, target, typeOnly }) => {
    const driver = /^core\/(stores|bus)\//.exec(target ?? '')?.[0]
    if ((typeOnly && path.startsWith('cli/')) || isShared(path, target)) return false
    return driver !== undefined && !path.startsWith(driver) && !path.startsWith('cli/compose')
  })
  t.same(named(wrong), [])
})

await tap.test('repository: a driver does not import another driver', async (t) => {
  const driverOf = (path: string): string | undefined => /^core\/(stores|bus)\/[^/]+\//.exec(path)?.[0]
  const wrong = ofProduct.filter(({ path, target }) => {
    const from = driverOf(path)
    const to = driverOf(target ?? '')
    return from !== undefined && to !== undefined && from !== to && !isShared(path, target)
  })
  t.same(named(wrong), [])
})

await tap.test('repository: packages stay behind the part that hides them', async (t) => {
  const wrong = ofProduct.filter(({ path, specifier }) =>
    HIDDEN_PACKAGES.some(
      ({ pattern, folders }) => pattern.test(specifier) && !folders.some((folder) => path.startsWith(folder)),
    ),
  )
  t.same(named(wrong), [])
})

await tap.test('repository: what a browser loads of the SDK needs no Node and no package', async (t) => {
  const ofBrowser = ofProduct.filter(({ path }) => /^sdk\/(device|browser|server)\//.test(path))
  t.ok(ofBrowser.length > 0, 'there are imports to look at')
  const wrong = ofBrowser.filter(({ target }) => target === null || target.startsWith('sdk/node'))
  t.same(named(wrong), [])
})

/** The names in the `dependencies` of a workspace. */
function dependenciesOf(workspace: string): object {
  const manifest: unknown = JSON.parse(readRepositoryFile(`${workspace}/package.json`))
  const dependencies =
    typeof manifest === 'object' && manifest !== null && 'dependencies' in manifest ? manifest.dependencies : null
  if (typeof dependencies !== 'object' || dependencies === null) throw new TypeError(`${workspace}: dependencies`)
  return dependencies
}

await tap.test(
  'repository: every package that the product imports is a dependency of the published package',
  async (t) => {
    // The SDK is in the build of the command too.
    for (const [workspace, isIn] of [
      ['cli', () => true],
      ['sdk', (path: string) => /^(sdk|protocol)\//.test(path)],
    ] as const) {
      const dependencies = dependenciesOf(workspace)
      const wrong = ofProduct.filter(({ path, specifier, target }) => {
        if (target !== null || specifier.startsWith('node:') || !isIn(path)) return false
        const parts = specifier.split('/')
        const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
        return !Object.hasOwn(dependencies, name)
      })
      t.same(named(wrong), [], workspace)
    }
  },
)
