import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'

const folder = mkdtempSync(join(tmpdir(), 'postrider-small-'))
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', folder]).status === 0
t.teardown(() => {
  if (mounted) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true, force: true })
})

void t.test(
  'lmdb on a full disk: accepts stop, what was accepted stays, acks make room',
  { skip: mounted ? false : 'needs a small file system: run as root, so that a tmpfs of 12 MiB can be mounted' },
  async (t) => {
    const result = spawnSync(process.execPath, ['--import=tsx', 'test/support/full-disk-child.ts', `${folder}/data`], {
      encoding: 'utf8',
      timeout: 120_000,
    })
    const last = result.stdout.trim().split('\n').at(-1) ?? ''
    t.match(last, /^\{/, `it printed a report; else its errors: ${result.stderr.slice(-2000)}`)
    const report: unknown = JSON.parse(last)
    t.match(last, /"acceptedAtFull":[1-9][0-9]{3}/, 'thousands of messages were accepted before')
    t.match(report, {
      filled: true,
      refusals: ['store_unavailable'],
      lostAtFull: 0,
      freed: true,
      resumed: true,
      lostAfter: 0,
      lostReopened: 0,
    })
  },
)
