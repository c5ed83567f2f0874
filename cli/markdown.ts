/** Text in a cell of a table. */
export const cell = (text: string): string => text.replaceAll('|', '\\|')

export const code = (text: string): string => (text === '' ? '' : `\`${cell(text)}\``)

export function table(header: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}
