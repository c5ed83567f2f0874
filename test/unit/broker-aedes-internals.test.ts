import { Aedes } from 'aedes'
import t from 'tap'
import { AedesInternals, type PacketInterceptor } from '../../broker/aedes-internals.js'
import { AedesStream } from '../../broker/aedes-stream.js'
import { MailboxPersistence } from '../../broker/mailbox-persistence.js'
import { SilentEmitter } from '../../broker/silent-emitter.js'
import { StartupError } from '../../core/errors.js'

async function startAedes(): Promise<Aedes> {
  const persistence = new MailboxPersistence({
    handshakes: {
      acknowledged: () => false,
      outgoingUpdate: async () => {},
      incomingGetPacket: async (_client, packet) => packet,
      incomingDelPacket: async () => {},
    },
    sessionPresent: () => false,
    unknownAck: () => {},
    failed: () => {},
  })
  const aedes = new Aedes({ mq: new SilentEmitter(), persistence })
  await aedes.listen()
  t.teardown(() => new Promise<void>((resolve) => aedes.close(resolve)))
  return aedes
}

const OWNER: PacketInterceptor = {
  writeFromAedes() {},
  destroyedByAedes() {},
  mayRead: () => true,
  readByAedes() {},
  intercept: () => true,
}

const nextId = (client: unknown): unknown => Reflect.get(Object(client), '_nextId')

void t.test('Aedes internals: the installed Aedes has what the broker relies on', async (t) => {
  t.ok(AedesInternals.inspect(await startAedes()))
  t.ok(AedesInternals.inspect(await startAedes()), 'and a second broker in the process too')
})

void t.test('Aedes internals: its packet ids stay below those of the couriers', async (t) => {
  const aedes = await startAedes()
  const internals = AedesInternals.inspect(aedes)
  const ids = new Set<unknown>()
  for (let i = 0; i < 200; i++) {
    const stream = new AedesStream(OWNER)
    internals.open(stream)
    ids.add(nextId(stream.client))
    stream.end()
  }
  const stream = new AedesStream(OWNER)
  internals.open(stream)
  const client = Object(stream.client)
  for (let i = 0; i < 0x8000; i++) {
    // As Aedes counts: the next one, or 1 after 65535.
    const id = Number(nextId(client))
    ids.add(id)
    Reflect.set(client, '_nextId', id >= 65_535 ? 1 : id + 1)
  }
  t.ok([...ids].every((id) => typeof id === 'number' && id >= 1 && id <= 0x7fff))
  t.equal(ids.size, 0x7fff, 'and all of those are used')
  t.notOk(Object.keys(client).includes('_nextId'), 'an accessor of the prototype')
  stream.end()
  t.equal(Reflect.get(client, 'closed'), true, 'the end of the stream closes the client')
})

void t.test('Aedes internals: another Aedes is refused at start', async (t) => {
  for (const field of ['_parser', '_keepaliveInterval', '_nextId', 'close']) {
    const aedes = await startAedes()
    const handle = aedes.handle
    aedes.handle = (...args) => {
      const client = handle(...args)
      client.close()
      Object.defineProperty(client, field, { value: undefined })
      return client
    }
    t.throws(
      () => AedesInternals.inspect(aedes),
      new StartupError(`this version of Aedes does not have what the broker relies on: ${field}`),
    )
  }
})
