// Unpacks the browser of the npm package into .frist/chromium and prints the
// path of a program to start. The package is made for a cloud function; what
// it would do there, it does here because we name that environment.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const home = join(root, '.frist', 'chromium')
const program = join(home, 'chromium.sh')

if (!existsSync(program)) {
  mkdirSync(dirname(home), { recursive: true })
  // Unpacked beside its place and then moved: an interrupted attempt must not
  // be taken for a browser.
  const fresh = mkdtempSync(home + '.')
  process.env.TMPDIR = fresh
  process.env.AWS_EXECUTION_ENV = 'AWS_Lambda_nodejs20.x' // brings the libraries too
  const { default: chromium } = await import('@sparticuz/chromium')
  await chromium.executablePath()
  writeFileSync(
    join(fresh, 'chromium.sh'),
    '#!/bin/sh\n' +
      'here=$(dirname "$(readlink -f "$0")")\n' +
      '# The machine\'s own libraries go first; these fill the gaps.\n' +
      'if ldd "$here/chromium" | grep -q "not found"; then export LD_LIBRARY_PATH="$here/al2023/lib"; fi\n' +
      '[ -d /etc/fonts ] || export FONTCONFIG_PATH="$here/fonts"\n' +
      'exec "$here/chromium" "$@"\n',
  )
  chmodSync(join(fresh, 'chromium.sh'), 0o755)
  rmSync(home, { recursive: true, force: true })
  renameSync(fresh, home)
}
console.log(program)
