import { WORK_SECONDS } from '../../core/metrics/histogram.js'
import { counter, counterBy, gauge, metricGroup, type MetricRow } from '../../core/metrics/metric-row.js'
import { ERROR_CODES } from '../../protocol/codes.js'
import { ApiCounters } from '../../push-api/counters.js'
import type { PushApi } from '../../push-api/create-push-api.js'
import type { HttpCounters } from '../../push-api/http-counters.js'

interface Api {
  readonly counters: ApiCounters
  readonly http: HttpCounters
  readonly queue: PushApi['queue']
  readonly connections: PushApi['connections']
}

const SHAPE = new ApiCounters()
const CODES = Object.keys(ERROR_CODES)

const ROUTE = { bounded: 'a pattern of the API, or `unmatched`' } as const
const METHOD = { bounded: 'the method of the route, or `any`' } as const

const answers: MetricRow<Api> = {
  name: 'http_requests_total',
  type: 'counter',
  labels: { method: METHOD, route: ROUTE, status: { bounded: 'statuses of the error table, 200, 201, 202, 204, 500' } },
  help: 'Answered requests, by route and status',
  tells: 'The share of 5xx on `POST` of messages is the availability of accepting',
  aggregate: 'sum',
  bounds: [],
  samples: ({ http }) =>
    http.routes.flatMap(({ method, route, byStatus }) =>
      [...byStatus].map(([status, count]) => [{ method, route, status: String(status) }, count] as const),
    ),
}

const durations: MetricRow<Api> = {
  name: 'http_request_seconds',
  type: 'histogram',
  labels: { method: METHOD, route: ROUTE },
  help: 'From the head of a request to the end of its answer, by route',
  tells: 'A push waits for the store: compare with `store_operation_seconds{operation="append"}`',
  aggregate: 'sum',
  bounds: WORK_SECONDS,
  samples: ({ http }) => http.routes.map(({ method, route, seconds }) => [{ method, route }, seconds] as const),
}

/** The REST API. */
export const API = metricGroup<Api>('Push API', 'on nodes that take pushes', [
  counter('messages_accepted_total', 'Messages stored', 'The traffic from backends', ({ counters: a }) => a.accepted),
  counter(
    'messages_duplicate_total',
    'Messages answered with an earlier answer',
    'Backends repeat pushes. With many, look for timeouts at the backends',
    ({ counters: a }) => a.duplicates,
  ),
  answers,
  durations,
  counter(
    'api_requests_total',
    'Requests to routes that ask for a key',
    'Whatever became of them',
    ({ counters: a }) => a.requests,
  ),
  counterBy(
    'api_problems_total',
    'code',
    CODES,
    'Requests refused, by their code (errors.md)',
    '`dedup_conflict`: repeats with another body; `store_unavailable`, `outcome_unknown`, `overloaded`: this side is at fault',
    ({ counters: a }) => Object.fromEntries(a.problems.byCode),
  ),
  counterBy(
    'api_items_refused_total',
    'code',
    CODES,
    'Messages refused inside an answered batch, by their code',
    'A batch is answered 200 also when each of its messages was refused',
    ({ counters: a }) => Object.fromEntries(a.refusedItems.byCode),
  ),
  counter(
    'api_internal_errors_total',
    'Requests that failed by a fault of the program',
    'Not 0: a defect; the log has it',
    ({ counters: a }) => a.internalErrors,
  ),
  counter(
    'api_notices_total',
    'Notices given to the bus',
    'Accepted messages whose device was connected',
    ({ counters: a }) => a.notices,
  ),
  gauge(
    'append_queue_messages',
    'Messages handed to the store and not answered yet',
    'Grows when the store is slow; over its bound pushes are refused as `overloaded`',
    ({ queue }) => queue.count,
  ),
  gauge(
    'append_queue_bytes',
    'Bytes handed to the store and not answered yet',
    'The same by bytes',
    ({ queue }) => queue.bytes,
  ),
  gauge(
    'append_queue_age_seconds',
    'How long the oldest of them waits',
    'The same by time',
    ({ queue }) => queue.age() / 1000,
    'max',
  ),
  gauge(
    'api_connections',
    'Open connections to the REST API',
    'Near its limit newcomers are refused',
    ({ connections }) => connections.open,
  ),
  counterBy(
    'api_connections_ended_total',
    'reason',
    Object.keys(SHAPE.connectionsEnded),
    'Connections ended to keep a limit',
    '`refused` and `evicted`: there are too many; `stalled`: the client does not read its answers',
    ({ counters: a }) => a.connectionsEnded,
  ),
  counterBy(
    'api_requests_unread_total',
    'reason',
    Object.keys(SHAPE.requestsUnread),
    'Bytes that became no request',
    'Clients at fault, or scanners',
    ({ counters: a }) => a.requestsUnread,
  ),
])
