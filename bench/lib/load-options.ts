// Flags that several scenarios share.
import { MARK_BYTES } from './marks.js'
import { choice, integer, text } from './options.js'

export const devicesOption = integer(1000, 1, 15_000, 'connected devices')
export const payloadOption = integer(64, MARK_BYTES, 65_536, 'bytes of a payload')
export const connectionsOption = integer(16, 1, 1000, 'HTTP connections, one request in flight on each')
export const processesOption = integer(1, 1, 4, 'processes that hold the devices')
export const roundsOption = integer(3, 1, 20, 'alternating rounds of a comparison')
export const durabilityOption = choice('disk', ['disk', 'process'], 'when an answer is given')
export const dedupOption = choice('on', ['on', 'off'], 'every message has a dedup id')
export const dataRootOption = text('.bench', 'folder for the data folders: on a disk, not a memory file system')
export const profileOption = text('', 'folder for a CPU profile of the server (slows it down); empty: none')

/** Node's flags for `profileOption`. */
export const profileFlags = (folder: string): readonly string[] =>
  folder === '' ? [] : ['--cpu-prof', '--cpu-prof-dir', folder]
