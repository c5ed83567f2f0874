import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { StartupError } from '../core/errors.js'

/** The text of the file that `--ca` names; null: none is named. StartupError: it holds no certificate. */
export async function readAuthorities(path: string | undefined): Promise<string | null> {
  if (path === undefined) return null
  try {
    const pem = await readFile(path, 'utf8')
    return new X509Certificate(pem).raw.length > 0 ? pem : null
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new StartupError(`--ca ${path}: a PEM file with certificates is needed: ${reason}`, { cause })
  }
}

const UNTRUSTED = /self.signed certificate|unable to verify the first certificate|unable to get (?:local )?issuer/i

/** What would help against an error of a TLS connection; empty: nothing that is known. */
export function trustHint(reason: string): string {
  return UNTRUSTED.test(reason) ? '; --ca names a file with the authority of its certificate' : ''
}
