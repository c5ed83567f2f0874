import * as fc from 'fast-check'
import t from 'tap'
import { ChunkList } from '../../core/chunk-list.js'

void t.test('chunk list: what comes in pieces is taken as one', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), { minLength: 1, maxLength: 40 }),
      (pieces) => {
        const list = new ChunkList()
        for (const piece of pieces) list.push(piece)
        const whole = Buffer.concat(pieces)
        return list.length === whole.length && whole.equals(list.take())
      },
    ),
  )
})
