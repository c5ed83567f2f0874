// Debian's Prometheus and promtool.

import { spawnSync } from 'node:child_process'

export const PROMETHEUS = process.env['PROMETHEUS_BIN'] ?? 'prometheus'
export const PROMTOOL = process.env['PROMTOOL_BIN'] ?? 'promtool'

const works = (command: string): boolean => spawnSync(command, ['--version']).status === 0

/** False: both are there. Else why the tests that need them are skipped. */
export const noPrometheus: string | false =
  works(PROMETHEUS) && works(PROMTOOL)
    ? false
    : 'prometheus and promtool are not there: install them (Debian: apt-get install prometheus) or set PROMETHEUS_BIN and PROMTOOL_BIN'
