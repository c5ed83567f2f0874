// Attacks with little that becomes much, or looks like what it is not. Each is refused, or ordinary, and costs little.

import { once } from 'node:events'
import { brotliCompressSync, deflateRawSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { WebSocket } from 'ws'
import { AttackedServer } from '../support/attacked-server.js'
import { exchange, statusOf } from '../support/raw-http.js'
import { stopwatch } from '../support/stopwatch.js'

void t.test('security: compressed bodies are refused before anything of them is unpacked', async (t) => {
  const attacked = await AttackedServer.start(t)
  const { ports } = attacked.server
  const bomb = Buffer.alloc(64 * 1024 * 1024, ' ')
  for (const [encoding, body] of [
    ['gzip', gzipSync(bomb)],
    ['x-gzip', gzipSync(bomb)],
    ['deflate', deflateRawSync(bomb)],
    ['br', brotliCompressSync(bomb)],
    ['gzip, gzip', gzipSync(gzipSync(bomb))],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ] as const) {
    for (const path of ['/v1/messages', '/v1/devices/attacker/messages']) {
      const { status } = await attacked.http(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-encoding': encoding },
        body: new Uint8Array(body),
      })
      t.ok(status >= 400 && status < 500, `${encoding}: ${status}`)
    }
  }
  // What is called compressed is refused for that, whatever it is.
  for (const encoding of ['gzip', 'deflate', 'br', 'unheard-of']) {
    const { status } = await attacked.http('/v1/devices/attacker/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': encoding },
      body: '{"payload":"plain"}',
    })
    t.equal(status, 400, `plain text that is called ${encoding}`)
  }
  const chunked = await exchange(
    ports.http,
    `POST /v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${attacked.apiKey}\r\ncontent-type: application/json\r\ntransfer-encoding: gzip, chunked\r\n\r\n4\r\n\x1f\x8b\x08\0\r\n0\r\n\r\n`,
  )
  t.ok(statusOf(chunked) >= 400 && statusOf(chunked) < 600, chunked.slice(0, 30))

  const socket = new WebSocket(`ws://127.0.0.1:${ports.ws}/mqtt`, 'mqtt', { perMessageDeflate: true })
  await once(socket, 'open')
  t.equal(socket.extensions, '', 'permessage-deflate is not agreed to')
  socket.close()
  const upgrade =
    'GET /mqtt HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n'
  // FIN, RSV1 ("compressed"), binary, masked with zeros.
  const frame = Buffer.concat([
    Buffer.from([0xc2, 0xfe, 0xff, 0xff, 0, 0, 0, 0]),
    deflateRawSync(bomb).subarray(0, 65_535),
  ])
  const answer = await exchange(ports.ws, Buffer.concat([Buffer.from(upgrade), frame]))
  t.match(answer, /^HTTP\/1\.1 101 /)
  t.notMatch(answer.toLowerCase(), /permessage-deflate/)

  const rss = /^process_resident_memory_bytes (\d+)/m.exec(
    await (await fetch(`${attacked.server.adminUrl}/metrics`)).text(),
  )
  t.ok(Number(rss?.[1]) < 400 * 1024 * 1024, `${rss?.[1]} bytes of memory`)
  await attacked.victimReceives('bombs')
  await attacked.judge()
})

void t.test('security: JSON that is deep, wide, huge or ambiguous is refused or ordinary, and quick', async (t) => {
  const attacked = await AttackedServer.start(t)
  const post = async (path: string, body: string): Promise<number> => {
    const elapsed = stopwatch(t)
    const { status } = await attacked.http(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    t.ok(elapsed() < 3_000, 'quick')
    return status
  }
  const one = '/v1/devices/attacker/messages'
  const deep = (n: number): string => `${'['.repeat(n)}${']'.repeat(n)}`
  const refused: ReadonlyArray<readonly [name: string, path: string, body: string]> = [
    ['nesting without an end', one, '['.repeat(1_000_000)],
    ['nesting that is no message', one, deep(500_000)],
    ['objects in objects', one, '{"a":'.repeat(200_000)],
    ['a number of a megabyte', one, `{"payload":${'9'.repeat(1_000_000)}}`],
    ['a number beyond numbers', one, '{"payload":1e999}'],
    ['a number that is not what it says', one, '{"payload":12345678901234567890}'],
    ['a ttl beyond time', one, '{"payload":"x","ttl":1e308}'],
    ['a ttl that is negative', one, '{"payload":"x","ttl":-1}'],
    [
      'a hundred thousand fields',
      one,
      `{${Array.from({ length: 100_000 }, (_, i) => `"f${i}":1`).join()},"payload":1}`,
    ],
    [
      'a hundred thousand attributes',
      one,
      `{"payload":"x","attributes":{${Array.from({ length: 100_000 }, (_, i) => `"f${i}":"1"`).join()}}}`,
    ],
    ['a dedup id of a megabyte', one, JSON.stringify({ payload: 'x', dedupId: 'd'.repeat(1_000_000) })],
    ['100,000 messages', '/v1/messages', `{"messages":[${Array.from({ length: 100_000 }, () => '{}').join()}]}`],
    ['a prototype for a field', one, '{"payload":"x","__proto__":{"ttl":1}}'],
    ['a prototype for a scope', '/v1/keys', '{"name":"x","scopes":["admin"],"__proto__":{}}'],
    ['a byte-order mark and nothing', one, '\ufeff'],
  ]
  for (const [name, path, body] of refused) {
    const status = await post(path, body)
    t.ok(status >= 400 && status < 500, `${name}: ${status}`)
  }
  t.equal(await post('/v1/messages', `{"messages":${deep(100_000)}}`), 200, 'an item that is no message fails alone')
  const big = await post(one, `{"payload":${deep(50_000)}}`)
  t.ok(big === 202 || (big >= 400 && big < 500), `a payload that is deep is stored as it is, or refused: ${big}`)
  t.equal(await post(one, '{"payload":{"__proto__":{"admin":true}}}'), 202, 'in a payload it is data')
  t.equal((await attacked.http('/v1/devices/attacker/messages')).status, 200, 'and can be looked at')
  await attacked.victimReceives('bombs of JSON')
  await attacked.judge()
})
