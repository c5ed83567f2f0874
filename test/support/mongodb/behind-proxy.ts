// A MongoDB that can be made to go away from one node alone.

import type { Test } from 'tap'
import { CuttingProxy } from '../sdk/cutting-proxy.js'

export interface ProxiedMongo {
  /** Leads through the proxy, and to nothing beside it. */
  readonly url: string
  readonly proxy: CuttingProxy
  /** Of the URL, as it is in there; null: it has none. */
  readonly password: string | null
}

/** `url`: of a server, or of a set of one, on this machine. */
export async function behindProxy(t: Test, url: string): Promise<ProxiedMongo> {
  const match = /^mongodb:\/\/([^@/]*@)?(?:127\.0\.0\.1|localhost):(\d+)\/([^?]*)(?:\?(.*))?$/.exec(url)
  if (match === null) throw new Error('MONGODB_TEST_URL is not of the form mongodb://127.0.0.1:port/?options')
  const [, login = '', port = '', database = '', query = ''] = match
  const proxy = await CuttingProxy.start(t, Number(port))
  const options = new URLSearchParams(query)
  // A driver that looks for the set would go to its members by their own addresses.
  options.delete('replicaSet')
  options.set('directConnection', 'true')
  return {
    url: `mongodb://${login}127.0.0.1:${proxy.port}/${database}?${options.toString()}`,
    proxy,
    password: /:([^@]+)@$/.exec(login)?.[1] ?? null,
  }
}
