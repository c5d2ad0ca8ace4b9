// Takes the list of common passwords out of its package, once, so that building
// Frist needs Go only, and writes down where it came from.
// Run it with: make assets
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const web = dirname(fileURLToPath(import.meta.url))
const name = '@zxcvbn-ts/language-common'
const home = join(web, 'node_modules', name)
const folder = join(web, '..', 'internal', 'account', 'common')
const { version, license } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))

// Shorter words than four letters would make too much of what people type a
// common password with something around it.
const words = JSON.parse(readFileSync(join(home, 'src', 'passwords.json'), 'utf8')).filter((word) => word.length >= 4)
const list = [...new Set(words.map((word) => word.toLowerCase()))].sort().join('\n') + '\n'

mkdirSync(folder, { recursive: true })
const rows = [
  ['passwords.txt.gz', gzipSync(list, { level: 9 })],
  ['LICENSE.txt', readFileSync(join(home, 'LICENSE.txt'))],
].map(([file, content]) => {
  writeFileSync(join(folder, file), content)
  return `| ${file} | ${name} | ${version} | ${license} | \`${createHash('sha256').update(content).digest('hex')}\` |\n`
})
writeFileSync(
  join(folder, 'README.md'),
  '# Common passwords\n\n' +
    `No password may be made of one of these. MIT licence (\`LICENSE.txt\`). Written by \`make assets\` from the exact version in \`web/package.json\`:\n` +
    'its list of common passwords, in lower case, those of four letters or more, sorted.\n\n' +
    '| file | package | version | licence | sha256 |\n|---|---|---|---|---|\n' + rows.join(''),
)
