import type { StoreFactory } from '../conformance/factory.js'
import { systemClock } from '../../core/clock.js'
import { ReferenceStore } from './reference-mailbox.js'
import { createReferenceSessions, newSessionsState } from './reference-sessions.js'
import { createReferenceUplink, type ReferenceUplinkState } from './reference-uplink.js'
import { createReferenceCredentials, type ReferenceCredentialsState } from './reference-credentials.js'

/** The reference mailbox as a store under test: shows that the suite asks for nothing the contract does not say. */
export const referenceFactory: StoreFactory = {
  name: 'reference',
  supports: {
    clock: true,
    generation: true,
    formatVersion: 'it is in memory only',
    claimsKept: true,
    claimsEnded: 'it is of one process',
    looksByItself: 'it has no events',
  },
  async open(_t, options) {
    const clock = options.clock ?? systemClock
    const store = new ReferenceStore({ clock, limits: options.limits ?? {} })
    const state: ReferenceCredentialsState = { keys: new Map(), revocations: new Map() }
    const uplinks: ReferenceUplinkState = { log: [], ids: new Map(), last: 0 }
    const openUplink = () => createReferenceUplink(uplinks, clock, options.uplinkLimits ?? {})
    let mailbox = store.open()
    let credentials = createReferenceCredentials(state, clock)
    let uplink = openUplink()
    const sessionsState = newSessionsState()
    let sessions = createReferenceSessions(sessionsState, clock)
    async function reopen(): Promise<void> {
      await mailbox.close()
      await credentials.close()
      await uplink.close()
      await sessions.close()
      mailbox = store.open()
      credentials = createReferenceCredentials(state, clock)
      uplink = openUplink()
      sessions = createReferenceSessions(sessionsState, clock)
    }
    return {
      get mailbox() {
        return mailbox
      },
      get credentials() {
        return credentials
      },
      get sessions() {
        return sessions
      },
      get uplink() {
        return uplink
      },
      reopen,
      async changeGeneration() {
        store.newGeneration()
        await reopen()
      },
      async makeNewer() {
        throw new Error('not supported')
      },
      close: () => mailbox.close(),
    }
  },
}
