import t from 'tap'
import { Webhook } from 'standardwebhooks'
import { SecretBox } from '../../core/security/secret-box.js'
import { generateWebhookSecret, parseWebhookSecret, signWebhook } from '../../core/security/webhook-signature.js'

const bytesOf = (secret: string): Buffer => parseWebhookSecret(secret) ?? Buffer.alloc(0)

t.test('webhook signature: the library of Standard Webhooks verifies it, with either of two secrets', async (t) => {
  const [first, second] = [generateWebhookSecret(), generateWebhookSecret()]
  const body = JSON.stringify({ type: 'x', data: { text: 'ü☂' } })
  const headers = signWebhook([bytesOf(first), bytesOf(second)], { id: 'evt_1', at: Date.now(), body })
  t.match(headers['webhook-signature'], /^v1,\S+ v1,\S+$/)
  for (const secret of [first, second]) t.same(new Webhook(secret).verify(body, headers), JSON.parse(body))
  t.throws(() => new Webhook(generateWebhookSecret()).verify(body, headers), 'another secret')
  t.throws(() => new Webhook(first).verify(`${body} `, headers), 'another body')
  t.throws(() => new Webhook(first).verify(body, { ...headers, 'webhook-id': 'evt_2' }), 'another id')
})

t.test('webhook signature: what is no secret is refused', async (t) => {
  t.match(generateWebhookSecret(), /^whsec_[A-Za-z0-9+/]{43}=$/)
  t.not(generateWebhookSecret(), generateWebhookSecret())
  const base64 = (size: number): string => Buffer.alloc(size, 'x').toString('base64')
  for (const size of [24, 32, 64]) t.equal(parseWebhookSecret(`whsec_${base64(size)}`)?.length, size)
  for (const text of ['', 'whsec_', base64(32), `whsec_${base64(23)}`, `whsec_${base64(65)}`, `whsec_${base64(32)}!`]) {
    t.equal(parseWebhookSecret(text), null, text)
  }
})

t.test('secret box: what is sealed opens with its key and for its owner alone', async (t) => {
  const [old, fresh] = [Buffer.alloc(32, 'a'), Buffer.alloc(32, 'b')]
  const box = new SecretBox([old])
  const kept = box.seal('whsec_secret', 'hook')
  t.notMatch(JSON.stringify(kept), 'whsec_secret')
  t.not(box.seal('whsec_secret', 'hook').text, kept.text, 'never the same twice')
  t.equal(box.open(kept, 'hook'), 'whsec_secret')
  t.equal(box.open(kept, 'other'), null, 'another owner')
  t.equal(box.open({ ...kept, text: `${kept.text.slice(0, -8)}AAAAAAA=` }, 'hook'), null, 'damaged')
  t.equal(new SecretBox([fresh]).open(kept, 'hook'), null, 'another key')
  const both = new SecretBox([fresh, old])
  t.equal(both.open(kept, 'hook'), 'whsec_secret')
  t.equal(both.isFresh(kept), false)
  t.equal(both.isFresh(both.seal('x', 'hook')), true)
})

t.test('secret box: without a key secrets are kept as they are, and opened by all', async (t) => {
  const none = new SecretBox([])
  const kept = none.seal('whsec_secret', 'hook')
  t.same(kept, { text: 'whsec_secret', sealedBy: null })
  t.equal(none.isFresh(kept), true)
  const box = new SecretBox([Buffer.alloc(32, 'a')])
  t.equal(box.open(kept, 'hook'), 'whsec_secret')
  t.equal(box.isFresh(kept), false)
})
