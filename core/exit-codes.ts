/**
 * How the command ends, in the numbers of sysexits.h where one fits; a supervisor may restart on 1, 69, 70 and 75.
 * `docs/configuration.md` lists them.
 */
export const EXIT = {
  ok: { code: 0, meaning: 'done; for `serve` and `listen`: stopped in good order by SIGINT or SIGTERM' },
  failed: { code: 1, meaning: 'the server refused the request, or `serve` could not stop in good order' },
  usage: { code: 64, meaning: 'a command, flag or argument that does not exist or is missing' },
  unavailable: { code: 69, meaning: 'the server cannot be reached or cannot serve now; for `serve`: its Redis' },
  crashed: { code: 70, meaning: 'an error of the program; the log has its stack' },
  cannotCreate: { code: 73, meaning: 'the data folder or a file in it cannot be read or written' },
  busy: { code: 75, meaning: 'a port or the data folder is in use by another process' },
  noPermission: { code: 77, meaning: 'the API key is missing, not valid, or lacks the scope' },
  badConfig: { code: 78, meaning: 'a setting has a value that cannot be' },
} as const satisfies Readonly<Record<string, { readonly code: number; readonly meaning: string }>>
