// The journal of ordinary pub/sub brought into the collections that are read. Whatever is applied twice is the same afterwards: a
// session notes up to which number of the journal it is, queued messages have names of their own, and of retained messages and
// wills the last change counts. So a process that ends in the middle loses nothing: the next one applies the rest of the journal again.

import type { AnyBulkWriteOperation } from 'mongodb'
import type { SessionChange } from '../../ports/session-store.js'
import type { Collections, Named } from './collections.js'
import { DUPLICATE_KEY, writeErrorsOf } from './mongo-errors.js'
import { inOneAnswer } from './one-answer.js'
import {
  changeSession,
  type KeptSession,
  messageFields,
  newSession,
  readSession,
  sessionDocument,
} from './session-changes.js'

export interface JournalEntry {
  readonly number: number
  readonly changes: readonly SessionChange[]
}

/** A write has fewer changes: each could make a session. */
const LIVES_IN_ENTRY = 1_000_000

const queueId = (client: string, life: number, number: number): string => `${life}.${number}.${client}`

export async function applyEntries(collections: Collections, entries: readonly JournalEntry[]): Promise<void> {
  const clients = new Set<string>()
  for (const { changes } of entries) for (const change of changes) if ('client' in change) clients.add(change.client)
  const sessions = await loadSessions(collections, [...clients])
  const stored = new Set(sessions.keys())
  const touched = new Set<string>()
  const ended: KeptSession[] = []
  const added = new Map<string, Named>()
  const released = new Set<string>()
  const removed = new Set<string>()
  const retained = new Map<string, AnyBulkWriteOperation<Named>>()
  const wills = new Map<string, AnyBulkWriteOperation<Named>>()

  for (const { number, changes } of entries) {
    for (const [place, change] of changes.entries()) {
      if (change.kind === 'retain') {
        const { topic, payload } = change.message
        retained.set(topic, payload.byteLength === 0 ? remove(topic) : put(topic, messageFields(change.message)))
        continue
      }
      const { client } = change
      if (change.kind === 'will') wills.set(client, put(client, messageFields(change.message)))
      else if (change.kind === 'forgetWill') wills.set(client, remove(client))
      else {
        const known = sessions.get(client)
        // It has this change already.
        if (known !== undefined && known.applied > number) continue
        if (change.kind === 'endSession') {
          if (known !== undefined) ended.push(known)
          sessions.delete(client)
          touched.add(client)
          continue
        }
        const session = known ?? newSession(client, number * LIVES_IN_ENTRY + place, number)
        sessions.set(client, session)
        touched.add(client)
        changeSession(session, change)
        if (change.kind === 'enqueue') {
          const { message } = change
          const id = queueId(client, session.life, message.number)
          const { topic, payload, qos, retain, released: isReleased } = message
          added.set(id, {
            _id: id,
            client,
            life: session.life,
            number: message.number,
            topic,
            payload,
            qos,
            retain,
            released: isReleased,
          })
        } else if (change.kind === 'release') released.add(queueId(client, session.life, change.number))
        else if (change.kind === 'remove') {
          for (const each of change.numbers) removed.add(queueId(client, session.life, each))
        }
      }
    }
    for (const client of touched) {
      const session = sessions.get(client)
      if (session !== undefined) session.applied = Math.max(session.applied, number + 1)
    }
  }

  // The queues first, for the sessions say that they are up to date.
  const { sessionQueue } = collections
  const fresh = [...added.values()].filter(({ _id }) => !removed.has(_id))
  if (fresh.length > 0) await insertMissing(sessionQueue, fresh)
  const releases = [...released].filter((id) => !removed.has(id))
  if (releases.length > 0) {
    const nothing = { topic: '', payload: Buffer.alloc(0), qos: 2, retain: false, released: true }
    await sessionQueue.updateMany({ _id: { $in: releases } }, { $set: nothing })
  }
  if (removed.size > 0) await sessionQueue.deleteMany({ _id: { $in: [...removed] } })
  for (const { client, life } of ended) await sessionQueue.deleteMany({ client, life })

  if (retained.size > 0) await collections.retained.bulkWrite([...retained.values()], { ordered: false })
  if (wills.size > 0) await collections.wills.bulkWrite([...wills.values()], { ordered: false })
  const writes = [...touched].toSorted().flatMap((client): Array<AnyBulkWriteOperation<Named>> => {
    const session = sessions.get(client)
    if (session === undefined) return stored.has(client) ? [remove(client)] : []
    return [put(client, sessionDocument(session))]
  })
  if (writes.length > 0) await collections.sessions.bulkWrite(writes, { ordered: false })
}

async function loadSessions({ sessions }: Collections, clients: readonly string[]): Promise<Map<string, KeptSession>> {
  const found =
    clients.length === 0
      ? []
      : await sessions.find({ _id: { $in: [...clients] } }, inOneAnswer(clients.length)).toArray()
  return new Map(found.map((document) => [document._id, readSession(document)]))
}

const remove = (id: string): AnyBulkWriteOperation<Named> => ({ deleteOne: { filter: { _id: id } } })

/** There is one writer, so no two race for it. */
const put = (id: string, fields: Readonly<Record<string, unknown>>): AnyBulkWriteOperation<Named> => ({
  replaceOne: { filter: { _id: id }, replacement: { ...fields }, upsert: true },
})

async function insertMissing(collection: Collections['sessionQueue'], documents: Named[]): Promise<void> {
  try {
    await collection.insertMany(documents, { ordered: false })
  } catch (error) {
    const errors = writeErrorsOf(error)
    if (errors === null || errors.some(({ code }) => code !== DUPLICATE_KEY)) throw error
  }
}
