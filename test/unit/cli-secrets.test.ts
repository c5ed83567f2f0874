import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findApiKey, findTokenSecrets, loadServerSecrets, readSecretFile } from '../../cli/secrets.js'

const LONG = 'a secret of thirty-two bytes or more'

void t.test('secrets: an empty folder gets both, random and for the owner alone', async (t) => {
  const folder = t.testdir({})
  const made = await loadServerSecrets(folder, {})
  t.same(made.made, [join(folder, 'api-key'), join(folder, 'token-secret')])
  t.same(readdirSync(folder).toSorted(), ['api-key', 'token-secret'], 'and nothing is left behind')
  for (const path of made.made) t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(readFileSync(join(folder, 'api-key'), 'utf8'), `${made.operatorKeys[0]}\n`)
  t.match(made.operatorKeys[0], /^prk_/)
  t.ok((made.tokenSecrets[0]?.byteLength ?? 0) >= 32)
  const other = await loadServerSecrets(t.testdir({ b: {} }), {})
  t.not(other.operatorKeys[0], made.operatorKeys[0])
})

void t.test('secrets: later starts read what is there', async (t) => {
  const folder = t.testdir({})
  const first = await loadServerSecrets(folder, {})
  t.same(await loadServerSecrets(folder, {}), { ...first, made: [] })
  t.equal(await findApiKey(folder, undefined, {}), first.operatorKeys[0])
  t.same(await findTokenSecrets(folder, {}), first.tokenSecrets)
})

void t.test('secrets: the environment comes first, and then no file is made', async (t) => {
  const folder = t.testdir({})
  const env = { POSTRIDER_API_KEY: ' key-from-outside \n', POSTRIDER_TOKEN_SECRET: `${LONG}, ${LONG}2` }
  const secrets = await loadServerSecrets(folder, env)
  t.same(secrets, {
    operatorKeys: ['key-from-outside'],
    tokenSecrets: [Buffer.from(LONG), Buffer.from(`${LONG}2`)],
    files: { apiKey: null, tokenSecret: null },
    made: [],
  })
  t.same(readdirSync(folder), [])
  t.same(await findTokenSecrets(folder, env), secrets.tokenSecrets)
  t.equal(await findApiKey(folder, 'given', {}), 'given')
})

void t.test('secrets: an empty variable counts as not set', async (t) => {
  const folder = t.testdir({})
  t.equal((await loadServerSecrets(folder, { POSTRIDER_API_KEY: '', POSTRIDER_TOKEN_SECRET: '  ' })).made.length, 2)
})

void t.test('secrets: files that others can read are refused, with the way out', async (t) => {
  const folder = t.testdir({ 'api-key': 'x', 'token-secret': LONG })
  chmodSync(join(folder, 'api-key'), 0o640)
  chmodSync(join(folder, 'token-secret'), 0o604)
  await t.rejects(readSecretFile(join(folder, 'api-key')), { message: /has mode 640.*chmod 600 .*api-key$/ })
  await t.rejects(findTokenSecrets(folder, {}), { message: /has mode 604/ })
  await t.rejects(loadServerSecrets(folder, {}), { message: /chmod 600/, exitCode: 78 })
})

void t.test('secrets: what a file cannot be', async (t) => {
  const folder = t.testdir({ 'api-key': '\n', 'token-secret': {} })
  chmodSync(join(folder, 'api-key'), 0o600)
  chmodSync(join(folder, 'token-secret'), 0o700)
  await t.rejects(readSecretFile(join(folder, 'api-key')), { message: /is empty/ })
  await t.rejects(readSecretFile(join(folder, 'token-secret')), { message: /cannot be read/, exitCode: 73 })
  t.equal(await readSecretFile(join(folder, 'absent')), null)
  const short = t.testdir({})
  writeFileSync(join(short, 'token-secret'), 'too short', { mode: 0o600 })
  await t.rejects(loadServerSecrets(short, { POSTRIDER_API_KEY: 'x' }), {
    message: /token-secret: secret 1 has 9 bytes/,
  })
})

void t.test('secrets: a short one in the environment is refused by its name, not its text', async (t) => {
  const env = { POSTRIDER_TOKEN_SECRET: 'hush-hush', POSTRIDER_API_KEY: 'x' }
  const error: unknown = await loadServerSecrets(t.testdir({}), env).catch((reason: unknown) => reason)
  t.match(error, { message: /^POSTRIDER_TOKEN_SECRET: secret 1 has 9 bytes/ })
  t.notMatch(String(error), /hush/)
})

void t.test('secrets: the environment may name files instead, which their group may read too', async (t) => {
  const folder = t.testdir({ key: 'key-from-a-file,older\n', secret: `${LONG}\n`, open: LONG, data: {} })
  const [key, secret] = [join(folder, 'key'), join(folder, 'secret')]
  chmodSync(key, 0o440)
  chmodSync(secret, 0o440)
  chmodSync(join(folder, 'open'), 0o444)
  const env = { POSTRIDER_API_KEY_FILE: key, POSTRIDER_TOKEN_SECRET_FILE: secret }
  for (const data of [null, join(folder, 'data')]) {
    t.same(await loadServerSecrets(data, env), {
      operatorKeys: ['key-from-a-file', 'older'],
      tokenSecrets: [Buffer.from(LONG)],
      files: {
        apiKey: { path: key, text: 'key-from-a-file,older', groupMay: true },
        tokenSecret: { path: secret, text: LONG, groupMay: true },
      },
      made: [],
    })
  }
  t.equal(await findApiKey(folder, undefined, env), 'key-from-a-file')
  t.same(await findTokenSecrets(folder, env), [Buffer.from(LONG)])
  const refused = (more: Readonly<Record<string, string>>): Promise<unknown> =>
    loadServerSecrets(null, { ...env, ...more }).catch((error: unknown) => error)
  t.match(await refused({ POSTRIDER_API_KEY: 'too' }), {
    message: 'POSTRIDER_API_KEY and POSTRIDER_API_KEY_FILE: give one of them',
  })
  t.match(await refused({ POSTRIDER_TOKEN_SECRET_FILE: join(folder, 'none') }), {
    message: /TOKEN_SECRET_FILE: there is no file/,
  })
  t.match(await refused({ POSTRIDER_TOKEN_SECRET_FILE: join(folder, 'open') }), {
    message: /has mode 444, but a secret is not for everybody; run: chmod o= /,
  })
  t.match(await refused({ POSTRIDER_TOKEN_SECRET_FILE: '' }), {
    message: /^POSTRIDER_TOKEN_SECRET: must be set \(or with _FILE/,
  })
})
