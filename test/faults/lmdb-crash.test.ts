import { join } from 'node:path'
import t from 'tap'
import { crashConformance } from '../conformance/crash/index.js'
import { openForCrash } from '../support/lmdb-crash-opener.js'

crashConformance(t, {
  name: 'lmdb',
  opener: new URL('../support/lmdb-crash-opener.ts', import.meta.url),
  openForCrash,
  prepare: async (folder) => join(folder, 'store'),
})
