// The composition of a MongoDB store: alone, or with what its nodes share on the Redis of the bus.

import { describeMongoUrl } from '../core/config/mongo-location.js'
import { EXIT } from '../core/exit-codes.js'
import { MongoCounters } from '../core/metrics/mongo-counters.js'
import type { SessionStore } from '../core/ports/session-store.js'
import type { SharedSessions } from '../core/ports/shared-sessions.js'
import type { RedisConnections } from '../core/stores/redis/connections.js'
import { openRedisOrdinary } from '../core/stores/redis/open-ordinary.js'
import type { Store, StoreParts } from './compose-store.js'
import { MONGODB } from './metrics/mongodb.js'
import { OUTCOMES } from './metrics/store.js'
import { requireSecrets } from './secrets.js'
import { eventLimits, mailboxLimits, ordinaryLimits, uplinkLimits } from './store-limits.js'

export async function startMongo(parts: StoreParts): Promise<Store> {
  const { config, env, log, metrics, lifecycle } = parts
  requireSecrets(env)
  const counters = new MongoCounters()
  const opened = await lifecycle.step(
    'store',
    async () => {
      // Its package is large, and of no use to the other stores.
      const { openMongoStore } = await import('../core/stores/mongodb/open.js')
      return openMongoStore({
        url: config.store,
        limits: mailboxLimits(config),
        uplinkLimits: uplinkLimits(config),
        eventLimits: eventLimits(config),
        needsReplicaSet: config.bus !== undefined,
        lease: {
          use: config.bus === undefined ? 'alone' : 'shared',
          onLost: () => {
            // Two writers of ordinary pub/sub would undo each other's changes.
            log.fatal({ store: describeMongoUrl(config.store) }, 'store_taken')
            process.exit(EXIT.crashed.code)
          },
        },
        log,
        counters,
      })
    },
    (store) => store.close(),
  )
  const { mailbox, credentials, uplink, events, webhooks, parkedMaxBytes } = opened
  metrics.expose([
    ...OUTCOMES.of(counters.outcomes),
    ...MONGODB.of({ counters, state: () => opened.connection.state() }),
  ])
  const { sessions, connections } = await startSessions(parts, opened.sessions)
  const described = { store: describeMongoUrl(config.store) }
  return { mailbox, credentials, uplink, events, webhooks, parkedMaxBytes, sessions, connections, described }
}

/** Of a node alone they are in the store; those of many nodes are on the Redis of the bus, where a publish is one step. */
async function startSessions(
  { config, log, lifecycle }: StoreParts,
  own: SessionStore,
): Promise<{ readonly sessions: SessionStore | SharedSessions; readonly connections: RedisConnections | null }> {
  const { bus } = config
  if (bus === undefined) return { sessions: own, connections: null }
  return lifecycle.step(
    'ordinary pub/sub',
    () => openRedisOrdinary({ url: bus, limits: ordinaryLimits(config), log }),
    (opened) => opened.close(),
  )
}
