// What can happen to devices and the way to them.

import { LONG, pause } from '../road/wait.js'
import type { Scenario } from './scenario.js'

export const allCut: Scenario = {
  name: 'all devices are cut at once',
  async run(world) {
    await world.breaking(null, async () => {
      world.balancer.cut()
      await Promise.resolve()
    })
  },
}

export const halfOpenDevices: Scenario = {
  name: 'every third device vanishes without a word, three times',
  async run(world) {
    for (let i = 0; i < 3; i++) {
      await world.breaking(null, async () => {
        world.balancer.abandon(3)
        await pause(1_500)
      })
    }
  },
}

export const slowDevices: Scenario = {
  name: 'the way to the devices takes 300 ms',
  staysConnected: true,
  async run({ balancer }) {
    balancer.delay(300)
    await pause(5_000)
    balancer.delay(0)
    await pause(500)
  },
}

/** Two connections of each of them fight, and land on any broker. */
export const doubles: Scenario = {
  name: 'duplicate connections of a device on two nodes, in a loop',
  async run(world) {
    world.fleet.tell({ do: 'double', count: 15 })
    await pause(LONG ? 40_000 : 8_000)
    world.fleet.tell({ do: 'single' })
    await pause(500)
  },
  check(t, { connects }) {
    t.ok(connects > 100, `${connects} connections`)
  },
}
