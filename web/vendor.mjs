// Copies the front-end files we serve out of node_modules, so that building
// Frist needs Go only, and writes down where each came from.
// Run it with: make assets
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const web = dirname(fileURLToPath(import.meta.url))
const axe = join(web, '..', 'internal', 'browsertest', 'testdata')
const vendor = join(web, 'static', 'vendor')

const served = [
  ['@digdir/designsystemet-css', 'dist/src/index.css', 'ds.css'],
  ['@digdir/designsystemet-css', 'dist/theme/designsystemet.css', 'ds-theme.css'],
  ['@digdir/designsystemet-css', 'LICENSE', 'ds-LICENSE.txt'],
  ['@digdir/designsystemet-web', 'dist/umd/index.js', 'ds-web.js'],
  ['@digdir/designsystemet-web', 'LICENSE', 'ds-web-LICENSE.txt'],
  ['@fontsource-variable/inter', 'files/inter-latin-wght-normal.woff2', 'inter-latin-wght-normal.woff2'],
  ['@fontsource-variable/inter', 'files/inter-latin-ext-wght-normal.woff2', 'inter-latin-ext-wght-normal.woff2'],
  ['@fontsource-variable/inter', 'LICENSE', 'inter-LICENSE.txt'],
  ['htmx.org', 'dist/htmx.min.js', 'htmx.min.js'],
  ['htmx.org', 'LICENSE', 'htmx-LICENSE.txt'],
  ['redoc', 'bundles/redoc.standalone.js', 'redoc.standalone.js'],
  ['redoc', 'LICENSE', 'redoc-LICENSE.txt'],
  ['redoc', 'bundles/redoc.standalone.js.LICENSE.txt', 'redoc-bundled-LICENSES.txt'],
]

function copy(packageName, from, folder, to) {
  const home = join(web, 'node_modules', packageName)
  const { version, license } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(home, from), join(folder, to))
  const hash = createHash('sha256').update(readFileSync(join(folder, to))).digest('hex')
  return `| ${to} | ${packageName} | ${version} | ${license} | \`${hash}\` |\n`
}

const head = '| file | package | version | licence | sha256 |\n|---|---|---|---|---|\n'

writeFileSync(
  join(vendor, 'VENDOR.md'),
  '# Files from other projects\n\n' +
    'Written by `make assets` from the exact versions in `web/package.json`; a test holds the hashes. Never edit these files here.\n\n' +
    head + served.map(([name, from, to]) => copy(name, from, vendor, to)).join(''),
)

writeFileSync(
  join(axe, 'README.md'),
  '# axe-core\n\n' +
    'The accessibility rules the browser tests inject into pages. Mozilla Public License 2.0 (`axe-LICENSE.txt`): used unchanged, in tests only,\n' +
    'and not part of the program we ship. Written by `make assets`.\n\n' +
    head + copy('axe-core', 'axe.min.js', axe, 'axe.min.js') + copy('axe-core', 'LICENSE', axe, 'axe-LICENSE.txt'),
)
