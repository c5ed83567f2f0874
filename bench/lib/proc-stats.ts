// What the kernel says about a process (proc(5)). Linux only.
import { readFileSync } from 'node:fs'

/** USER_HZ: the unit of the times in /proc/<pid>/stat, 100 on every Linux architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** User and system time of the whole process, seconds. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The second field is the command in brackets and may hold anything: count from the last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Resident set, bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  if (kilobytes === undefined) throw new Error(`process ${pid} has ended`)
  return Number(kilobytes) * 1024
}
