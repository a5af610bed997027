#!/usr/bin/env bash
# Installs the package that build.sh made into a root with nothing else in it, uses what it brings,
# removes it, and looks for what is left. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
	echo "test.sh: $1" >&2
	exit 1
}

shopt -s nullglob
packages=("${CARGO_TARGET_DIR:-target}"/debian/ebpf-apply_*.deb)
[ ${#packages[@]} = 1 ] || fail "there must be one package, and there are ${#packages[@]}"
package=${packages[0]}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/var/lib/dpkg"/{info,updates,triggers}
touch "$root/var/lib/dpkg"/{status,available}
admin() { dpkg --root="$root" --log=/dev/null "$@"; }
files() { (cd "$root" && find . -path ./var/lib/dpkg -prune -o ! -type d -print | sort); }

admin --install "$package" >/dev/null
size=$(stat --format %s "$root/usr/bin/ebpf-apply")
[ "$size" -le $((6 << 20)) ] || fail "the program has $size bytes, and 6 MiB is the most"

# There is no library in that root: it runs only if it needs none.
version=$(chroot "$root" /usr/bin/ebpf-apply --version)
[ "$version" = "ebpf-apply $(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)" ] ||
	fail "it calls itself $version"
chroot "$root" /usr/bin/ebpf-apply schema | cmp - "$root"/usr/share/ebpf-apply/*.json ||
	fail "the schema is not the program's"

for command in '' $(chroot "$root" /usr/bin/ebpf-apply -h | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/-\1/p'); do
	page=$root/usr/share/man/man1/ebpf-apply$command.1.gz
	gzip --test "$page" || fail "there is no manual page for ebpf-apply $command"
done
bash -n "$root/usr/share/bash-completion/completions/ebpf-apply"
for shell in zsh/vendor-completions/_ebpf-apply fish/vendor_completions.d/ebpf-apply.fish; do
	[ -s "$root/usr/share/$shell" ] || fail "$shell is missing"
done
for unit in ebpf-apply@.service ebpf-apply-metrics.service ebpf-apply-metrics.timer; do
	[ -s "$root/usr/lib/systemd/system/$unit" ] || fail "the unit $unit is missing"
done
[ -s "$root/usr/share/doc/ebpf-apply/copyright" ] || fail "the copyright is missing"

files | sed 's/^\.//'
admin --purge ebpf-apply >/dev/null
left=$(files)
[ -z "$left" ] || fail "removing it has left $left"
echo "installed, used and removed: $package"
