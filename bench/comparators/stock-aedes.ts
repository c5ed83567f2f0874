// The yardstick of `redis`: Aedes with the Redis packages of its own family, as their documentation starts them.
//
//   node --import=tsx stock-aedes.ts <port of Redis>      prints {"ready":true,"ports":{"mqtt":…}}
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import aedesPersistenceRedis from 'aedes-persistence-redis'
import mqemitterRedis from 'mqemitter-redis'

async function main(redisPort: number): Promise<void> {
  const redis = { host: '127.0.0.1', port: redisPort }
  const broker = await Aedes.createBroker({ persistence: aedesPersistenceRedis(redis), mq: mqemitterRedis(redis) })
  const server = createServer({ noDelay: true }, broker.handle)
  await new Promise<void>((resolve) => server.listen(0, redis.host, 4096, resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  console.log(JSON.stringify({ ready: true, ports: { mqtt: address.port } }))
}

await main(Number(process.argv[2]))
