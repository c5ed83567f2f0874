// The yardstick of `idle`: what a connection with one subscription costs in Aedes by itself, in memory, without any hook.
//
//   node --import=tsx bare-aedes.ts      prints {"ready":true,"ports":{"mqtt":…}}
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

async function main(): Promise<void> {
  const broker = await Aedes.createBroker()
  const server = createServer({ noDelay: true }, broker.handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  console.log(JSON.stringify({ ready: true, ports: { mqtt: address.port } }))
}

await main()
