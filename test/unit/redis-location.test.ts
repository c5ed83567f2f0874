import t from 'tap'
import { describeLocation, parseRedisUrl } from '../../core/config/redis-location.js'
import { indexShardOf } from '../../core/stores/redis/keys.js'
import { slotOf } from '../../core/stores/redis/slot.js'

const NOBODY = { user: null, password: null, tls: false }

t.test('redis location: the forms of a URL', async (t) => {
  t.strictSame(parseRedisUrl('redis://h'), { ...NOBODY, kind: 'single', hosts: [{ host: 'h', port: 6379 }], db: 0 })
  t.strictSame(parseRedisUrl('rediss://us%40er:p%3Aw:x@[::1]:7000/3'), {
    kind: 'single',
    hosts: [{ host: '::1', port: 7000 }],
    user: 'us@er',
    password: 'p:w:x',
    tls: true,
    db: 3,
  })
  t.strictSame(parseRedisUrl('redis://:pw@h/'), {
    ...NOBODY,
    password: 'pw',
    kind: 'single',
    hosts: [{ host: 'h', port: 6379 }],
    db: 0,
  })
  t.strictSame(parseRedisUrl('redis+sentinel://a,b:27000/my%20master/2?sentinelPassword=x'), {
    ...NOBODY,
    kind: 'sentinel',
    hosts: [
      { host: 'a', port: 26_379 },
      { host: 'b', port: 27_000 },
    ],
    name: 'my master',
    db: 2,
    sentinelPassword: 'x',
  })
  t.strictSame(parseRedisUrl('redis+cluster://u:p@a:1,b:2'), {
    ...NOBODY,
    user: 'u',
    password: 'p',
    kind: 'cluster',
    hosts: [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ],
  })
})

t.test('redis location: what is not of a form is refused', async (t) => {
  const wrong = [
    'redis:',
    'redis://',
    'redis:///1',
    'http://h',
    'redis://h:0',
    'redis://h:70000',
    'redis://h/x',
    'redis://h/1/2',
    'redis://a,b',
    'redis://h?db=1',
    'redis://%zz@h',
    'redis+sentinel://a',
    'redis+sentinel://a/m/x',
    'redis+cluster://a/1',
    'redis+cluster://a,,b',
    'redis+other://a',
    'redis://h#x',
    'redis://h h',
  ]
  for (const url of wrong) t.equal(parseRedisUrl(url), null, url)
})

t.test('redis location: is told without secrets', async (t) => {
  const told = (url: string): string => {
    const location = parseRedisUrl(url)
    return location === null ? '' : describeLocation(location)
  }
  t.equal(told('rediss://user:hush@[::1]/2'), 'rediss://[::1]:6379/2')
  t.equal(told('redis+sentinel://:hush@a,b/m?sentinelPassword=hush'), 'redis+sentinel://a:26379,b:26379/m')
  t.equal(told('redis+cluster://:hush@a,b'), 'redis+cluster://a:6379,b:6379')
})

t.test('redis keys: slots as Redis counts them, and shards that never change', async (t) => {
  // What CLUSTER KEYSLOT answers.
  t.equal(slotOf('123456789'), 0x31c3)
  t.equal(slotOf('foo'), 12_182)
  t.equal(slotOf('{user1000}.following'), slotOf('{user1000}.followers'))
  t.equal(slotOf('foo{}{bar}'), 8363)
  t.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'))
  t.strictSame(['', 'a', 'phone-1', 'ä'].map(indexShardOf), [69, 44, 53, 98])
})
