// A process of producers. Calls: begin (once: the range of devices), send (as often as wanted), summary.
import { SentLedger } from './checker.js'
import { pushOverHttp } from './http-producer.js'
import { publishOverMqtt } from './mqtt-producer.js'
import { ProducerRun } from './producer.js'
import { producerOrder, producerRange } from './producer-protocol.js'
import { serveWorker, type WorkerHandler } from './worker-server.js'

function producerWorker(): ReadonlyMap<string, WorkerHandler> {
  let begun: SentLedger | null = null
  const ledger = (): SentLedger => {
    if (begun === null) throw new Error('not begun')
    return begun
  }
  const begin: WorkerHandler = (argument) => {
    const { firstDevice, devices } = producerRange(argument, 'begin')
    begun = new SentLedger(firstDevice, devices)
  }
  const send: WorkerHandler = async (argument) => {
    const order = producerOrder(argument, 'send')
    const run = new ProducerRun(order, ledger())
    await (order.via === 'http' ? pushOverHttp(order, run) : publishOverMqtt(order, run))
    return run.report()
  }
  return new Map<string, WorkerHandler>([
    ['begin', begin],
    ['send', send],
    ['summary', () => ledger().summary()],
  ])
}

serveWorker(producerWorker())
