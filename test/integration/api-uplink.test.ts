import tap from 'tap'
import type { NewUplink } from '../../core/ports/uplink.js'
import { at, isProblem, startApi, type TestApi } from '../support/push-api/server.js'

const uplink = (payload: string | Uint8Array, fields: Partial<NewUplink> = {}): NewUplink => ({
  device: 'd',
  channel: 'a/b',
  contentType: null,
  will: false,
  dedupId: null,
  payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
  ...fields,
})

interface Page {
  readonly uplink: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly next: string | null
}

async function page(api: TestApi, query = ''): Promise<Page> {
  const { status, body, text } = await api.call('GET', `/v1/uplink${query}`)
  const list = at(body, 'uplink')
  const next = at(body, 'next')
  if (status !== 200 || !Array.isArray(list)) throw new Error(`${status} ${text}`)
  return { uplink: list, next: typeof next === 'string' ? next : null }
}

void tap.test('uplink: what devices sent, as it was stored', async (t) => {
  const api = await startApi(t)
  t.strictSame((await api.call('GET', '/v1/uplink')).body, { uplink: [], next: null })
  await api.uplink.append([
    uplink('21.5'),
    uplink('{"a":[1,2.5]}', { contentType: 'application/json' }),
    uplink('{"a":1.0}', { contentType: 'application/json', dedupId: 'their own' }),
    uplink('{"a":1}'),
    uplink(Buffer.from([0xff, 0]), { device: '__proto__', channel: 'ü/☂' }),
    uplink('text', { contentType: 'application/octet-stream' }),
    uplink('', { will: true }),
  ])
  const { uplink: list, next } = await page(api)
  t.equal(next, null)
  const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
  for (const entry of list) {
    t.strictSame(Object.keys(entry).slice(0, 6), ['id', 'device', 'channel', 'at', 'will', 'contentType'])
    t.match(entry, { id: String, at: RFC3339 })
  }
  t.strictSame(
    list.map(({ id: _id, at: _at, ...rest }) => rest),
    [
      { device: 'd', channel: 'a/b', will: false, contentType: null, payload: '21.5' },
      { device: 'd', channel: 'a/b', will: false, contentType: 'application/json', payload: { a: [1, 2.5] } },
      { device: 'd', channel: 'a/b', will: false, contentType: 'application/json', payload: '{"a":1.0}' },
      { device: 'd', channel: 'a/b', will: false, contentType: null, payload: '{"a":1}' },
      { device: '__proto__', channel: 'ü/☂', will: false, contentType: null, payloadBase64: '/wA=' },
      { device: 'd', channel: 'a/b', will: false, contentType: 'application/octet-stream', payloadBase64: 'dGV4dA==' },
      { device: 'd', channel: 'a/b', will: true, contentType: null, payload: '' },
    ],
  )
})

void tap.test('uplink: in pages, by count and by bytes; and from the last one on', async (t) => {
  const api = await startApi(t)
  await api.uplink.append(Array.from({ length: 250 }, (_, i) => uplink(String(i))))
  const seen: unknown[] = []
  const sizes: number[] = []
  for (let query = ''; ;) {
    const { uplink: list, next } = await page(api, query)
    sizes.push(list.length)
    seen.push(...list.map(({ payload }) => payload))
    if (next === null) break
    t.equal(next, list.at(-1)?.id)
    query = `?after=${encodeURIComponent(next)}`
  }
  t.strictSame(sizes, [100, 100, 50])
  t.strictSame(
    seen,
    Array.from({ length: 250 }, (_, i) => String(i)),
  )
  const last = (await page(api, '?limit=1000')).uplink.at(-1)?.id
  t.strictSame(await page(api, `?after=${String(last)}`), { uplink: [], next: null })
  await api.uplink.append(Array.from({ length: 20 }, () => uplink(Buffer.alloc(256 * 1024, 0xff))))
  const heavy = await page(api, `?after=${String(last)}&limit=1000`)
  t.equal(heavy.uplink.length, 15, 'under 4 MiB')
  t.equal((await page(api, `?after=${heavy.next ?? ''}`)).uplink.length, 5)
})

void tap.test('uplink: refusals', async (t) => {
  const api = await startApi(t)
  isProblem(t, await api.call('GET', '/v1/uplink', { key: null }), 401, 'unauthorized')
  isProblem(t, await api.call('GET', '/v1/uplink', { key: await api.key('push') }), 403, 'missing_scope')
  t.equal((await api.call('GET', '/v1/uplink', { key: await api.key('read') })).status, 200)
  for (const after of ['', 'x', '%00', '../x', '0'.repeat(513), 'g'.repeat(20)]) {
    isProblem(t, await api.call('GET', `/v1/uplink?after=${after}`), 400, 'bad_request')
  }
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'limit=1&limit=2', 'after=1&after=2']) {
    isProblem(t, await api.call('GET', `/v1/uplink?${query}`), 400, 'bad_request')
  }
  isProblem(t, await api.call('GET', '/v1/uplink?before=1'), 400, 'unknown_field')
  await api.uplink.close()
  isProblem(t, await api.call('GET', '/v1/uplink'), 503, 'store_unavailable')
})
