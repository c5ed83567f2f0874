// Many sockets that do nothing but be there: `crowd-child.ts <port> <sockets> <stay|return> <first bytes, hex>`. Each sends the
// first bytes and then nothing. `return`: one that is closed comes again soon. Prints every 100 ms how many are open, and how
// many have been; ends by a signal.

import { connect, type Socket } from 'node:net'

const [port = '', sockets = '', then = '', hex = ''] = process.argv.slice(2)
const first = Buffer.from(hex, 'hex')
let open = 0
let opened = 0

function add(): void {
  const socket: Socket = connect({ port: Number(port), host: '127.0.0.1' })
  let counted = false
  socket.on('connect', () => {
    open++
    opened++
    counted = true
    if (first.length > 0) socket.write(first)
  })
  socket.on('error', () => {})
  socket.on('data', () => {})
  socket.on('close', () => {
    if (counted) open--
    if (then === 'return') setTimeout(add, 200 + Math.random() * 200)
  })
}

for (let i = 0; i < Number(sockets); i++) add()
setInterval(() => process.stdout.write(`${JSON.stringify({ open, opened })}\n`), 100)
