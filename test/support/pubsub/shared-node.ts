// A node of shared sessions without connections, which notes what comes to it.

import type { OrdinaryMessage } from '../../../core/model/ordinary-message.js'
import type {
  Delivery,
  HeldConnection,
  SharedDrops,
  SharedHandler,
  SharedNode,
  SharedSession,
  SharedSessions,
} from '../../../core/ports/shared-sessions.js'

export const subscription = (filter: string, qos: 0 | 1 | 2 = 1) => ({ filter, qos })

/** A node that notes what comes. */
export class TestNode implements SharedHandler {
  /** `client topic payload qos number`, `R` if retained; `* …` for clients without a stored session. */
  readonly got: string[] = []
  readonly kicked: string[] = []
  readonly checked: Array<readonly [conn: string, next: number | null]> = []
  readonly wills: string[] = []
  drops: SharedDrops = { queue: 0, retained: 0, node: 0 }
  missed = 0
  totals = { sessions: 0, retained: 0, retainedBytes: 0, expired: 0 }
  readonly connections: HeldConnection[] = []
  readonly wanted = new Set<string>()
  #node: SharedNode | null = null

  static async join(sessions: SharedSessions): Promise<TestNode> {
    const made = new TestNode()
    made.#node = await sessions.join(made)
    return made
  }

  get node(): SharedNode {
    if (this.#node === null) throw new Error('not joined')
    return this.#node
  }

  open(
    client: string,
    conn: string,
    options: { clean?: boolean; will?: OrdinaryMessage } = {},
  ): Promise<SharedSession | null> {
    const { clean = false, will = null } = options
    this.connections.push({ client, conn, hasWill: will !== null })
    return this.node.open({ client, conn, clean, uses: true, will })
  }

  /** A stored session with these filters. */
  async session(client: string, conn: string, ...filters: readonly string[]): Promise<void> {
    await this.open(client, conn)
    await this.node.subscribe(
      { client, conn },
      true,
      filters.map((filter) => subscription(filter)),
    )
  }

  leave(client: string, conn: string, publishesWill = false): Promise<void> {
    this.connections.splice(
      this.connections.findIndex((held) => held.conn === conn),
      1,
    )
    return this.node.leave({ client, conn }, { sent: 0, publishesWill })
  }

  onMessage({ topic, payload, qos }: OrdinaryMessage, deliveries: readonly Delivery[], others: boolean): void {
    const text = `${topic} ${Buffer.from(payload).toString()}`
    for (const { client, number, qos: granted, retain } of deliveries) {
      this.got.push(`${client} ${text} ${granted} ${number}${retain ? ' R' : ''}`)
    }
    if (others) this.got.push(`* ${text} ${qos}`)
  }
  onKick({ conn }: { readonly conn: string }): void {
    this.kicked.push(conn)
  }
  held(): Iterable<HeldConnection> {
    return this.connections
  }
  filters(): Iterable<string> {
    return this.wanted
  }
  onChecked({ conn }: { readonly conn: string }, next: number | null): void {
    this.checked.push([conn, next])
  }
  onMissed(): void {
    this.missed++
  }
  async onUplinkWill({ topic }: OrdinaryMessage): Promise<void> {
    this.wills.push(topic)
  }
  onDrops({ queue, retained, node }: SharedDrops): void {
    this.drops = {
      queue: this.drops.queue + queue,
      retained: this.drops.retained + retained,
      node: this.drops.node + node,
    }
  }
  onTotals(totals: TestNode['totals']): void {
    this.totals = totals
  }
}
