// Random requests to every call of the REST API.

import t from 'tap'
import { patience } from '../support/fuzz/campaign.js'
import { httpCase } from '../support/fuzz/http-case.js'
import { readApi } from '../support/fuzz/http-input.js'
import { Subject } from '../support/fuzz/subject.js'

t.setTimeout(patience())

void t.test('fuzz: the REST API, and a canary misses nothing', async (t) => {
  const subject = await Subject.start(t)
  const { server } = subject
  const api = readApi(await (await fetch(`${server.url}/openapi.json`)).json())
  t.ok(api.operations.length >= 12, 'there are calls')
  const key = await server.apiKey()
  await subject.endure((random) => httpCase(random, { port: server.ports.http, api, key }))
})
