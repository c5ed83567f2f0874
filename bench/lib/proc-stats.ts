// What the kernel says about a process (proc(5)). Linux only.
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ: the unit of the times in /proc/<pid>/stat, 100 on every Linux architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** User and system time of the whole process, seconds. */
export function cpuSeconds(pid: number): number {
  const fields = statOf(pid)
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Fields of the process from its state on. */
function statOf(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The second field is the command in brackets and may hold anything: count from the last bracket.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** The same of a process and all that descend from it, those that have ended and were waited for included. */
export function treeCpuSeconds(root: number): number {
  const children = new Map<number, number[]>()
  const ticks = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    try {
      const fields = statOf(pid)
      const parent = Number(fields[1])
      children.set(parent, [...(children.get(parent) ?? []), pid])
      ticks.set(
        pid,
        fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0),
      )
    } catch {
      // It has ended meanwhile.
    }
  }
  const sum = (pid: number): number =>
    (children.get(pid) ?? []).reduce((total, child) => total + sum(child), ticks.get(pid) ?? 0)
  return sum(root) / TICKS_PER_SECOND
}

/** Of all cores together since the machine started: time in which they did something, and all time. Seconds. */
export function machineSeconds(): { readonly busy: number; readonly all: number } {
  const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1)
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, ...others] = line.split(/\s+/).slice(1, 9).map(Number)
  const busy = others.reduce((sum, each) => sum + each, user + nice + system)
  return { busy: busy / TICKS_PER_SECOND, all: (busy + idle + waiting) / TICKS_PER_SECOND }
}

/** Resident set, bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  if (kilobytes === undefined) throw new Error(`process ${pid} has ended`)
  return Number(kilobytes) * 1024
}
