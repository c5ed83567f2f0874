import { createServer } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { SocketBudget } from '../../core/limits/socket-budget.js'
import { ApiCounters } from '../../push-api/counters.js'
import { HttpDoor } from '../../push-api/http-door.js'
import { until } from '../support/road/wait.js'

void t.test('HTTP door: nothing is kept of a client that goes before its answers', async (t) => {
  const limits = { connectionsMax: 10, pipelineMax: 10, stalledTimeoutMs: 60_000 }
  const door = new HttpDoor(limits, new SocketBudget(Infinity), new ApiCounters())
  let came = 0
  const server = createServer(door.guard(() => came++))
  door.watch(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const socket = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1')
  // The first has its turn to be answered, the others wait for theirs: of these Node never says that they are closed.
  socket.write('GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
  await until('the requests', () => came === 3)
  t.equal(door.answering, 1, 'one connection waits for answers')
  socket.destroy()
  await until('its end', () => door.open === 0)
  t.equal(door.answering, 0, 'and none once it is gone')
})
