import { isIP } from 'node:net'

/** True for addresses that only this machine reaches. A name counts only if it is `localhost`: others may change. */
export function isLoopback(host: string): boolean {
  const kind = isIP(host)
  if (kind === 4) return host.startsWith('127.')
  if (kind === 6) return /^(?:::1|(?:0{1,4}:){7}0{0,3}1|::ffff:127\.[0-9.]+)$/i.test(host)
  return host.toLowerCase() === 'localhost'
}
