import t from 'tap'
import { tryAgain } from '../../cli/try-again.js'
import { StartupError, StoreUnavailable } from '../../core/errors.js'
import { EXIT } from '../../core/exit-codes.js'

void t.test('try again: a store that has a bad moment is asked again, and not for ever', async (t) => {
  let calls = 0
  const failing = (times: number) => async (): Promise<string> => {
    if (++calls <= times) throw new StoreUnavailable('Redis cannot be reached')
    return 'started'
  }
  t.equal(await tryAgain('the bus', failing(2), 1), 'started')
  t.equal(calls, 3)
  calls = 0
  const failure: unknown = await tryAgain('the bus', failing(99), 1).catch((error: unknown) => error)
  t.equal(calls, 5)
  t.ok(failure instanceof StartupError)
  t.match(failure, { message: 'the bus: Redis cannot be reached', exitCode: EXIT.unavailable.code })
})

void t.test('try again: what another try cannot mend is told at once', async (t) => {
  let calls = 0
  const taken = (): Promise<never> => {
    calls++
    return Promise.reject(new Error('a live node is named so already'))
  }
  await t.rejects(tryAgain('the bus', taken, 1), /named so already/)
  t.equal(calls, 1)
})
