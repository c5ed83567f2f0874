// The yardstick of `requests`: what Fastify and LMDB cost by themselves. One route that takes the product's single push,
// puts the message under the next number, waits until it is flushed, and answers. No dedup, no caps, no delivery.
//
//   node --import=tsx fastify-lmdb.ts <data folder>      prints {"ready":true,"ports":{"http":…}}
import { join } from 'node:path'
import fastify from 'fastify'
import { open } from 'lmdb'
import { object, string } from '../lib/decode.js'

const pushBody = object({ payload: string })

async function main(folder: string): Promise<void> {
  const store = open<Buffer, number>({
    path: join(folder, 'store.mdb'),
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'uint32',
  })
  const app = fastify({ logger: false })
  let last = 0
  app.post('/v1/devices/:id/messages', async (request, reply) => {
    const seq = ++last
    await store.put(seq, Buffer.from(pushBody(request.body, 'body').payload))
    await store.flushed
    return reply.code(202).send({ device: '', seq, epoch: '' })
  })
  const port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port)
  process.once('SIGTERM', () => {
    app
      .close()
      .then(() => store.close())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          console.error(error)
          process.exit(1)
        },
      )
  })
  console.log(JSON.stringify({ ready: true, ports: { http: port } }))
}

await main(process.argv[2] ?? '.')
