// The package brings no types. Only what stock-aedes.ts uses.
declare module 'aedes-persistence-redis' {
  /** A persistence for Aedes. The options are those of ioredis, and some of its own. */
  export default function aedesPersistenceRedis(options: { readonly host: string; readonly port: number }): unknown
}
