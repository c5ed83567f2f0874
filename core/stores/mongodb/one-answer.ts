// A server answers a question with at most 101 documents, unless it is told to send more, and the rest has to be asked for. That is a
// round trip more; and a server that walks on in what is stored by then may miss a document that was changed meanwhile, as if the device
// were not there (DocumentDB does).

/** Options of a `find` of at most so many documents: all of them in the first answer, as far as 16 MiB go. */
export const inOneAnswer = (most: number) => ({ batchSize: most + 1 })
