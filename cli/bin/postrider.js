#!/usr/bin/env node
// The `postrider` command. Committed as it is, so that npm can link it before anything is built.
import { existsSync, readFileSync } from 'node:fs'

const build = new URL('../dist/cli/main.js', import.meta.url)

if (existsSync(build)) {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const { main } = await import(build.href)
  process.exit(
    await main({
      argv: process.argv.slice(2),
      env: process.env,
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      version,
    }),
  )
} else {
  process.stderr.write('postrider: it is not built yet: run npm run build\n')
  process.exit(70)
}
