import * as fc from 'fast-check'
import t from 'tap'
import { DEVICE_ID_RULE, isDeviceId } from '../../protocol/device-id.js'

t.test('device id: 1 to 128 characters of the pattern', async (t) => {
  const good = ['a', 'A', '0', '-', '_', ':', '@', 'a.b', '...', '.a', 'x'.repeat(128), '__proto__', 'constructor']
  for (const id of [...good, 'phone-1', 'user@example.org', 'urn:dev:mac:0024befffe804ff1']) t.ok(isDeviceId(id), id)
})

t.test('device id: neither empty, nor a path that URL libraries fold away, nor anything else', async (t) => {
  const bad = [
    '',
    '.',
    '..',
    'x'.repeat(129),
    'a b',
    ' a',
    'a ',
    'a/b',
    'a+',
    '#',
    '$a',
    'a\n',
    '\na',
    'a\u0000',
    'é',
    '١',
    'a%2f',
  ]
  for (const id of [...bad, 'a\r\n', 'a?b', 'a\\b', '\u{1f4f1}', '*', 'a,b'])
    t.notOk(isDeviceId(id), JSON.stringify(id))
})

t.test('device id: any string is one exactly when the rule says so', async () => {
  const rule = (id: string): boolean => {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-'
    return (
      id.length >= 1 &&
      id.length <= 128 &&
      Array.from(id).every((c) => letters.includes(c)) &&
      id !== '.' &&
      id !== '..'
    )
  }
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[A-Za-z0-9._:@-]{0,130}$/),
    fc.string({ maxLength: 4 }),
  )
  fc.assert(fc.property(text, (id) => isDeviceId(id) === rule(id)))
})

t.test('device id: an id is one topic level and one path segment as it stands', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9._:@-]{1,128}$/), (id) => {
      fc.pre(isDeviceId(id))
      const { pathname } = new URL(`http://host/v1/devices/${id}/messages`)
      return pathname === `/v1/devices/${id}/messages` && !/[/+#]/.test(id)
    }),
  )
})

t.test('device id: the rule in words names the limits', async (t) => {
  t.match(DEVICE_ID_RULE, /1 to 128/)
})
