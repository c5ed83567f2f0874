import { findLossyNumbers, formatPath, mayHoldLossyNumber } from './json-numbers.js'

/** `item`: the text is one message; `batch`: it is `{"messages": […]}`. */
export type SourceShape = 'item' | 'batch'

/**
 * The JSON text that messages were parsed from. Asked only when a message gives cause, because reading it again costs as much
 * as parsing it: bodies whose payloads are strings never pay.
 */
export class SourceText {
  readonly #text: string
  readonly #shape: SourceShape
  /** Only an escape can bring half a surrogate pair: the bytes of the body are valid UTF-8. */
  readonly mayHoldSurrogates: boolean
  #lossy: ReadonlyMap<number, string> | null = null

  constructor(text: string, shape: SourceShape) {
    this.#text = text
    this.#shape = shape
    this.mayHoldSurrogates = text.includes('\\u')
  }

  /** The path of the first number in message `index` (0 for a single one) that JavaScript cannot hold; null: none. */
  lossyNumber(index: number): string | null {
    this.#lossy ??= this.#find()
    return this.#lossy.get(index) ?? null
  }

  #find(): ReadonlyMap<number, string> {
    const first = new Map<number, string>()
    if (!mayHoldLossyNumber(this.#text)) return first
    findLossyNumbers(this.#text, (path) => {
      let index = 0
      if (this.#shape === 'batch') {
        const [list, item] = path
        if (list !== 'messages' || typeof item !== 'number') return
        index = item
      }
      if (!first.has(index)) first.set(index, formatPath(path))
    })
    return first
  }
}
