/**
 * Where the pages are, as long as nobody says where they are published: their place in this repository.
 * `npm run grafana -- --runbooks https://…` writes another one.
 */
export const RUNBOOKS = 'docs/runbooks'

/** The name of an alert as the name of a file. */
export const fileName = (alert: string): string => alert.replaceAll(/\B[A-Z]/g, '-$&').toLowerCase()

/** `base`: without a slash at its end. */
export const runbookUrl = (base: string, alert: string): string => `${base}/${fileName(alert)}.md`
