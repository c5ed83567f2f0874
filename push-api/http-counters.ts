import type { FastifyInstance } from 'fastify'
import { Histogram, WORK_SECONDS } from '../core/metrics/histogram.js'
import { ERROR_CODES } from '../protocol/codes.js'

/** What a push can be answered with: there from the start, so that the first one is a step from 0. */
const PUSH_STATUSES = [...new Set([200, 202, 500, ...Object.values(ERROR_CODES).map(({ status }) => status)])]

/** The answers of one route. */
export class RouteCounters {
  readonly method: string
  /** The route's pattern, never the path of a request. */
  readonly route: string
  readonly byStatus: Map<number, number>
  readonly seconds = new Histogram(WORK_SECONDS)

  constructor(method: string, route: string, statuses: readonly number[] = []) {
    this.method = method
    this.route = route
    this.byStatus = new Map(statuses.map((status) => [status, 0]))
  }

  answered(status: number, ms: number): void {
    this.byStatus.set(status, (this.byStatus.get(status) ?? 0) + 1)
    this.seconds.observe(ms / 1000)
  }
}

/** Answers by route. */
export class HttpCounters {
  readonly routes: RouteCounters[] = []
  /** Answers that no route gave. */
  readonly unmatched: RouteCounters

  constructor() {
    this.unmatched = this.route('any', 'unmatched')
  }

  route(method: string, route: string, statuses: readonly number[] = []): RouteCounters {
    const counters = new RouteCounters(method, route, statuses)
    this.routes.push(counters)
    return counters
  }
}

/** Counts and times the answers of every route that is registered from now on. */
export function countAnswers(app: FastifyInstance, counters: HttpCounters): void {
  app.addHook('onRoute', (route) => {
    const method = String(route.method)
    // HEAD comes along with every GET.
    if (method === 'HEAD') return
    const pushes = method === 'POST' && route.url.endsWith('/messages')
    const answers = counters.route(method, route.url, pushes ? PUSH_STATUSES : [])
    const earlier = route.onResponse === undefined ? [] : [route.onResponse].flat()
    route.onResponse = [
      ...earlier,
      (_request, reply, done) => {
        answers.answered(reply.statusCode, reply.elapsedTime)
        done()
      },
    ]
  })
}
