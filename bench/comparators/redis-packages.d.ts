// What stock-aedes.ts uses of Aedes' Redis packages: one brings no types, the other more than is needed.
declare module 'aedes-persistence-redis' {
  /** A persistence for Aedes. The options are those of ioredis, and some of its own. */
  export default function aedesPersistenceRedis(options: { readonly host: string; readonly port: number }): unknown
}
declare module 'mqemitter-redis' {
  /** An emitter for Aedes, with the same options. */
  export default function mqemitterRedis(options: { readonly host: string; readonly port: number }): unknown
}
