// A device in Node: prints what it receives, sends a line to the backend, and goes on where it was after a restart.
//
//   DEVICE=phone-1 TOKEN="$(npx postrider token phone-1)" node docs/examples/node-device.js

import { connect } from '@postrider/sdk'
import { fileStorage } from '@postrider/sdk/file-storage'

const { DEVICE = 'phone-1', TOKEN, SERVER = 'mqtt://127.0.0.1:1883', MEMORY = `./device-${DEVICE}` } = process.env

const client = connect({
  urls: SERVER,
  deviceId: DEVICE,
  // A device in the field gets tokens from your backend, each before the last one ends:
  //   getToken: async () => (await fetch('https://backend.example.com/device-token')).text()
  token: TOKEN ?? null,
  // What was handled is remembered here, and what was sent is kept until the server has it.
  storage: fileStorage({ folder: MEMORY }),
  // When this resolves, the message is handled: it is recorded, then acknowledged, and never given to the handler again.
  handler: async (message) => {
    const again = message.attempt > 1 ? ` (attempt ${message.attempt})` : ''
    console.log(`${message.key}${again}: ${message.text()}`)
  },
})

client.on('state', ({ state, error }) => console.error(state, error?.message ?? ''))
client.on('gap', ({ from, to, reason }) => console.error(`messages ${from} to ${to} will not come: ${reason}`))
client.on('reset', () => console.error('the server lost data; what was handled stays handled'))

process.once('SIGTERM', () => void client.close())
process.once('SIGINT', () => void client.close())

// Resolves when the server has stored it; offline it waits. The id makes a retry after a crash the same message.
client
  .send('status', { started: true }, { id: `started-${process.pid}` })
  .then(() => console.error('the backend can read it'))
  .catch((error) => console.error('not sent:', error.message))

// Everything that ends a client for good comes out here.
const error = await client.closed
if (error !== null) console.error(`it ended: ${error.code}`)
process.exitCode = error === null ? 0 : 1
