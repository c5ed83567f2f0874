// The receiver of docs/webhooks.md, run as it is.

import { join } from 'node:path'
import t from 'tap'
import { Child } from '../support/child.js'
import { readRepositoryFile, repositoryRoot } from '../support/repository.js'
import { TestServer } from '../support/server.js'
import { connectDevice, WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

const EXAMPLE = 'docs/examples/webhook-receiver.js'

void t.test('webhook example: it verifies, and takes each event once', async (t) => {
  t.ok(readRepositoryFile('docs/webhooks.md').includes(readRepositoryFile(EXAMPLE)), 'the page shows what is run')
  const server = await TestServer.start(t, { flags: WEBHOOK_FLAGS })
  const secret = `whsec_${Buffer.alloc(32, 's').toString('base64')}`
  const receiver = new Child(t, process.execPath, [join(repositoryRoot, EXAMPLE)], {
    env: { PORT: '0', SECRET: secret },
  })
  await receiver.until('its port', ({ stdout }) => stdout.includes('\n'))
  const url = `http://127.0.0.1:${/\d+/.exec(receiver.stdout)?.[0]}/`
  const events = ['device.offline_with_pending', 'message.handled', 'uplink']
  t.match(await server.rest('PUT', '/v1/webhooks/backend', { url, events, secret }), { status: 201 })

  const forged = await fetch(url, {
    method: 'POST',
    headers: {
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
      'webhook-signature': 'v1,AAAA',
    },
    body: '{"type":"x","data":{}}',
  })
  t.equal(forged.status, 401)

  const { body } = await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'hello', receipt: true })
  await receiver.until('the wake-up', ({ stdout }) => stdout.includes('wake phone-1: 1 waiting\n'))
  const phone = await connectDevice(t, server, 'phone-1')
  const epoch = typeof body === 'object' && body !== null && 'epoch' in body ? String(body.epoch) : ''
  await receiver.until('the receipt', ({ stdout }) => stdout.includes(`phone-1 has handled ${epoch}/1\n`))
  await phone.publishAsync('uplink/phone-1/t', '21.5', { qos: 1 })
  await receiver.until('the uplink', ({ stdout }) => /^uplink .*"payload":"21.5"/m.test(stdout))
  t.equal(receiver.stdout.split('\n').length, 5, 'each once')
})
