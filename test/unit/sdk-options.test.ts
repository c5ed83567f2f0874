import t from 'tap'
import { PostriderError, SDK_ERRORS } from '../../sdk/device/errors.js'
import { readOptions } from '../../sdk/device/options.js'
import { SDK_NAME } from '../../sdk/device/version.js'
import { connect } from '../../sdk/node.js'
import { fileStorage } from '../../sdk/file-storage.js'
import { readRepositoryFile } from '../support/repository.js'

const SCHEMES = ['mqtt:', 'ws:']
const GOOD = { urls: 'mqtt://127.0.0.1', deviceId: 'phone-1', token: null }

/** The message for options that differ from good ones by `more`. */
function refusal(more: object, from: object = GOOD): string {
  try {
    readOptions({ ...from, ...more }, SCHEMES)
    return 'taken'
  } catch (error) {
    if (!(error instanceof PostriderError) || error.code !== 'bad_option') throw error
    return error.message.slice(SDK_ERRORS.bad_option.title.length + 2)
  }
}

void t.test('SDK options: each wrong one is refused by its name', async (t) => {
  t.equal(refusal({}), 'taken')
  const wrong: ReadonlyArray<readonly [object, RegExp]> = [
    [{ urls: undefined }, /^urls: a URL as a string/],
    [{ urls: [] }, /^urls: at least one/],
    [{ urls: ['mqtt://a', 7] }, /^urls\[1\]: a URL as a string/],
    [{ urls: 'nowhere' }, /^urls: a URL/],
    [{ urls: 'http://a' }, /^urls: one of mqtt:\/\/, ws:\/\/ here/],
    [{ urls: 'wss://a' }, /^urls: one of/],
    [{ urls: 'mqtt://' }, /^urls: /],
    [{ urls: 'mqtt://user:secret@a' }, /^urls: without a user name/],
    [{ deviceId: undefined }, /^deviceId: a device id is/],
    [{ deviceId: 'a/b' }, /^deviceId: /],
    [{ deviceId: 7 }, /^deviceId: /],
    [{ token: undefined }, /^token: this or getToken/],
    [{ token: '' }, /^token: a string/],
    [{ token: 7 }, /^token: a string/],
    [{ getToken: () => 'x' }, /^token: either this or getToken/],
    [{ token: undefined, getToken: 'x' }, /^getToken: a function/],
    [{ storage: {} }, /^storage: an object with load, write and close/],
    [{ storage: null }, /^storage: /],
    [{ handler: 'x' }, /^handler: a function/],
    [{ handler: null }, /^handler: a function/],
    [{ ack: 'never' }, /^ack: one of auto, manual/],
    [{ concurrency: 0 }, /^concurrency: an integer from 1/],
    [{ concurrency: 1.5 }, /^concurrency: /],
    [{ retry: 5 }, /^retry: an object/],
    [{ retry: { attempts: 0 } }, /^retry.attempts: /],
    [{ retry: { minMs: -1 } }, /^retry.minMs: /],
    [{ retry: { minMs: 10, maxMs: 9 } }, /^retry.maxMs: an integer from 10/],
    [{ retry: { tries: 1 } }, /^retry.tries: there is no such option/],
    [{ poison: 'drop' }, /^poison: one of stop, skip, park/],
    [{ parkedMax: -1 }, /^parkedMax: /],
    [{ window: 0 }, /^window: /],
    [{ window: '64' }, /^window: /],
    [{ maxFrameBytes: 16_383 }, /^maxFrameBytes: an integer from 16384/],
    [{ maxMessageBytes: Number.NaN }, /^maxMessageBytes: /],
    [{ keepAliveSeconds: 0 }, /^keepAliveSeconds: /],
    [{ keepAliveSeconds: 65_536 }, /^keepAliveSeconds: /],
    [{ connectTimeoutMs: 0 }, /^connectTimeoutMs: /],
    [{ pingTimeoutMs: Infinity }, /^pingTimeoutMs: /],
    [{ ackTimeoutMs: -5 }, /^ackTimeoutMs: /],
    [{ tokenTimeoutMs: null }, /^tokenTimeoutMs: /],
    [{ closeTimeoutMs: true }, /^closeTimeoutMs: /],
    [{ backoff: { firstMs: 100, maxMs: 50 } }, /^backoff.maxMs: /],
    [{ backoff: [] }, /^backoff: an object/],
    [{ backoff: { stableMs: 'long' } }, /^backoff.stableMs: /],
    [{ uplink: { max: 0 } }, /^uplink.max: /],
    [{ uplink: { maxPayloadBytes: 100, maxBytes: 99 } }, /^uplink.maxBytes: /],
    [{ uplink: { overflow: 'block' } }, /^uplink.overflow: one of reject, drop-oldest/],
    [{ signal: {} }, /^signal: an AbortSignal/],
    [{ deviceID: 'x' }, /^deviceID: there is no such option/],
  ]
  for (const [more, expected] of wrong) t.match(refusal(more), expected, JSON.stringify(more))
  for (const options of [null, undefined, 'x', []]) {
    t.throws(() => readOptions(options, SCHEMES), { code: 'bad_option', message: /options: an object/ })
  }
})

void t.test('SDK options: a secret in a URL is not in the error', async (t) => {
  t.notMatch(refusal({ urls: 'mqtt://user:secret@a' }), /secret/)
})

void t.test('SDK options: Node takes tls beside them, and nothing is done with wrong ones', async (t) => {
  const wrong: ReadonlyArray<readonly [unknown, RegExp]> = [
    [7, /tls: an object/],
    [null, /tls: an object/],
    [[], /tls: an object/],
    [{ pfx: 'x' }, /tls\.pfx: there is no such option/],
    [{ ca: 5 }, /tls\.ca: PEM/],
    [{ ca: ['x', 5] }, /tls\.ca: PEM/],
    [{ cert: [] }, /tls\.cert: PEM/],
    [{ key: true }, /tls\.key: PEM/],
    [{ passphrase: 5 }, /tls\.passphrase: a string/],
    [{ servername: 5 }, /tls\.servername: a string/],
    [{ rejectUnauthorized: 0 }, /tls\.rejectUnauthorized: true or false/],
    [{ cert: 'no PEM', key: 'no PEM' }, /tls: .*PEM/],
  ]
  for (const [tls, message] of wrong) {
    t.throws(() => Reflect.apply(connect, null, [{ ...GOOD, tls }]), { code: 'bad_option', message })
  }
  t.throws(() => connect({ ...GOOD, urls: 'tcp://a' }), { code: 'bad_option' })
  t.throws(() => Reflect.apply(connect, null, []), { code: 'bad_option' })
  t.throws(() => fileStorage({ folder: '' }), { code: 'bad_option' })
})

void t.test('SDK options: the version that the server sees is the package’s', async (t) => {
  const { version } = JSON.parse(readRepositoryFile('sdk/package.json'))
  t.equal(SDK_NAME, `postrider-js/${version}`)
})
