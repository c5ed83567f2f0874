import t from 'tap'
import { busConformance } from '../conformance/bus.js'
import { openBus } from '../support/redis/bus.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis/server.js'

if (noRedis !== false) t.pass('needs Redis', { skip: noRedis })
else {
  const running: { server: Promise<RedisServer> | null } = { server: null }
  busConformance(t, {
    name: 'redis',
    supports: { manyClients: true },
    async open() {
      const server = await (running.server ??= startRedis())
      await server.admin.flushall()
      const opened: Array<Awaited<ReturnType<typeof openBus>>> = []
      return {
        async connect() {
          const bus = await openBus(server.url)
          opened.push(bus)
          return bus.bus
        },
        async close() {
          await Promise.all(opened.map((bus) => bus.close()))
        },
      }
    },
  })
  t.test('redis bus: the server is ended', async (t) => {
    await (await running.server)?.stop()
    t.pass()
  })
}
