// Where a MongoDB is, as `--store` says it: a connection string of MongoDB's own form. The database is the path (default:
// postrider).

export const MONGO_URL_RULE = 'mongodb://host:port,host:port/database?replicaSet=name (or mongodb+srv://host/database)'

const FORM = /^(mongodb(?:\+srv)?):\/\/(?:[^/?#]*@)?([^/?#@]+)(\/[^?#]*)?(?:\?[^#]*)?$/

export const isMongoUrl = (text: string): boolean => /^mongodb(?:\+[a-z]+)?:/.test(text)

/** Whether it looks like one; the driver reads it in detail. */
export const isMongoLocation = (text: string): boolean => FORM.test(text)

/** Without user, password and options, for logs and errors. */
export function describeMongoUrl(url: string): string {
  const match = FORM.exec(url)
  if (match === null) return 'the MongoDB store'
  const [, scheme = 'mongodb', hosts = '', path = ''] = match
  return `${scheme}://${hosts}${path === '/' ? '' : path}`
}

/** A document has at most 16 MiB, and some is needed for the rest of a message. */
export const MONGO_PAYLOAD_MAX = 15 * 1024 * 1024
