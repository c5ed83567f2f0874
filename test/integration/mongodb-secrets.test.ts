// What is said of a MongoDB that cannot be used, whatever is wrong with it: never the user's password, in no form and at no depth.

import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openMongoStore } from '../../core/stores/mongodb/open.js'
import { collectingLog } from '../support/log.js'
import { startFakeMongo } from '../support/mongodb/fake-server.js'
import { freePort } from '../support/redis/server.js'

const MARK = 'MaRkEd'
const PASSWORD = `${MARK}:p@ss/word?&#%`
const USER = `service:${encodeURIComponent(PASSWORD)}`
/** As it is, as a URL has it, and as the protocol sends it. */
const FORMS = [MARK, encodeURIComponent(PASSWORD), Buffer.from(PASSWORD).toString('base64').slice(0, 12)]

const GOOD = { ok: 1, isWritablePrimary: true, maxBsonObjectSize: 16_777_216, maxWireVersion: 21, minWireVersion: 0 }

/** What a server answers to everything. */
async function saying(t: Test, document: Readonly<Record<string, unknown>>): Promise<string> {
  const server = await startFakeMongo({ ...GOOD, ...document })
  t.teardown(() => server.stop())
  return `127.0.0.1:${server.port}`
}

const CASES: ReadonlyArray<{
  readonly what: string
  readonly url: (t: Test) => Promise<string>
  readonly says: RegExp
}> = [
  {
    what: 'nobody listens',
    url: async () => `mongodb://${USER}@127.0.0.1:${await freePort()}/db`,
    says: /cannot be reached: .*ECONNREFUSED/,
  },
  {
    what: 'there is no such host',
    url: async () => `mongodb://${USER}@no-such-host.invalid/db`,
    says: /cannot be reached: .*no-such-host/,
  },
  {
    what: 'there is no such service',
    url: async () => `mongodb+srv://${USER}@no-such-host.invalid/db`,
    says: /cannot be (?:reached|opened)/,
  },
  {
    what: 'the server is too old',
    url: async (t) => `mongodb://${USER}@${await saying(t, { maxWireVersion: 5, version: '3.4.24' })}/db`,
    says: /too old/,
  },
  {
    what: 'the server does not take the password',
    url: async (t) => {
      const refused = { code: 18, codeName: 'AuthenticationFailed', errmsg: 'Authentication failed.' }
      const host = await saying(t, { ...refused, saslSupportedMechs: ['PLAIN'] })
      return `mongodb://${USER}@${host}/db?authMechanism=PLAIN&authSource=$external`
    },
    says: /./,
  },
  {
    what: 'the answers of the login make no sense',
    url: async (t) => `mongodb://${USER}@${await saying(t, {})}/db?authMechanism=SCRAM-SHA-256`,
    says: /./,
  },
  {
    what: 'an option is unknown',
    url: async () => `mongodb://${USER}@h/db?nosuchoption=1`,
    says: /option nosuchoption is not supported/,
  },
  {
    what: 'options do not go together',
    url: async () => `mongodb://${USER}@h,i/db?directConnection=true`,
    says: /is not of the form/,
  },
  {
    what: 'the password is not escaped',
    url: async () => `mongodb://service:${PASSWORD}@h/db`,
    says: /is not of the form|cannot be reached/,
  },
]

for (const { what, url, says } of CASES) {
  t.test(`mongodb secrets: ${what}, and the password is not told`, async (t) => {
    const { log, entries } = collectingLog()
    const limits = DEFAULT_MAILBOX_LIMITS
    const error = await openMongoStore({ url: await url(t), limits, log }).then(
      async (store) => {
        await store.close()
        return null
      },
      (reason: unknown) => reason,
    )
    if (!(error instanceof Error)) {
      t.fail('it was opened')
      return
    }
    t.match(error.message, says)
    log.error({ err: error }, 'as the program would log it')
    const told = [
      error.message,
      String(error),
      error.stack ?? '',
      JSON.stringify(error),
      inspect(error, { depth: 20, showHidden: true, getters: true }),
      JSON.stringify(entries),
    ]
    t.ok(JSON.stringify(entries).includes('as the program would log it'))
    for (const form of FORMS) {
      for (const text of told) {
        const at = text.indexOf(form)
        t.equal(at, -1, at === -1 ? form : `${form}: ${text.slice(Math.max(0, at - 200), at + 40)}`)
      }
    }
  })
}
