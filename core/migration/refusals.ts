import { StartupError } from '../errors.js'

export const notEmpty = (where: string): StartupError =>
  new StartupError(`${where}: there is something in it already; a migration needs an empty store`)

export const unfinished = (where: string): StartupError =>
  new StartupError(`${where}: a migration into it has not ended; run it again, to its end`)
