import { writeFileSync } from 'node:fs'
import { logsPage } from './logs-page.js'

writeFileSync(new URL('../docs/logs.md', import.meta.url), logsPage())
