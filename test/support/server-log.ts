/** What a server's stderr says is wrong: lines of level error or above, warnings of Node, and what an uncaught error leaves. */
export function troublesIn(stderr: string): readonly string[] {
  return stderr.split('\n').filter((line) => {
    if (line.startsWith('{')) return /"level":"(?:error|fatal)"/.test(line)
    return /^\s+at |Error\b|Warning\b|unhandled|uncaught/i.test(line)
  })
}
