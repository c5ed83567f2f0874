import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'

const REASON = 'needs a small file system: run as root, so that a tmpfs can be mounted'

/** A file system of its own; null where none can be mounted. */
function mountDisk(size: string): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-small-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status === 0
  t.teardown(() => {
    if (mounted) spawnSync('umount', [folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return mounted ? folder : null
}

interface Case {
  readonly size: string
  /** Bytes of a message. */
  readonly payload: number
  /** Journal files are written. */
  readonly files: boolean
}

/** A server's store on a file system of `size` is filled, emptied by half and opened again. */
function fill(t: Test, folder: string, { payload, files }: Case): void {
  const args = ['--import=tsx', 'test/support/full-disk-child.ts', `${folder}/data`, `${payload}`]
  const result = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 280_000 })
  const last = result.stdout.trim().split('\n').at(-1) ?? ''
  t.match(last, /^\{/, `it printed a report; else its errors: ${result.stderr.slice(-2000)}`)
  const report: unknown = JSON.parse(last)
  t.comment(last)
  t.match(last, /"acceptedAtFull":[1-9][0-9]{3}/, 'thousands of messages were accepted before')
  t.match(last, files ? /"journalFiles":[1-9]/ : /"journalFiles":0/)
  t.match(report, {
    filled: true,
    refusals: ['store_unavailable'],
    lostAtFull: 0,
    freed: true,
    resumed: true,
    lostAfter: 0,
    lostReopened: 0,
  })
}

const small: Case = { size: '12m', payload: 1_000, files: false }
const smallDisk = mountDisk(small.size)
void t.test(
  'lmdb on a full disk: accepts stop, what was accepted stays, acks make room',
  { skip: smallDisk === null ? REASON : false, timeout: 290_000 },
  async (t) => fill(t, smallDisk ?? '', small),
)

const larger: Case = { size: '96m', payload: 8_000, files: true }
const largerDisk = mountDisk(larger.size)
void t.test(
  'lmdb on a full disk that had room for journal files: accepts stop, what was accepted stays, acks make room',
  { skip: largerDisk === null ? REASON : false, timeout: 290_000 },
  async (t) => fill(t, largerDisk ?? '', larger),
)
