#!/usr/bin/env bash
# kernels.sh SERIES…: brings Debian's newest kernel of each series (6.12, say) into the cache, unless
# one is there, and prints the cache. To renew a kernel, remove its directory.
#
#	$CACHE/6.12/vmlinuz    the image
#	$CACHE/6.12/config     what it was built with; of some series Debian keeps it no longer
#	$CACHE/6.12/release    what uname -r will say
#	$CACHE/6.12/modules/   the modules of `modules` below, not compressed
#
# CACHE is $EBPF_APPLY_KERNELS, or ebpf-apply/kernels below $XDG_CACHE_HOME or ~/.cache. It takes
# Debian or its like with debian-archive-keyring, but neither root nor a change of the machine's packages.
set -euo pipefail

cache=${EBPF_APPLY_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/ebpf-apply/kernels}
# What the tests need and Debian's cloud kernels have as modules, with what those depend on.
modules=(veth dummy tun sch_ingress cls_bpf act_bpf x_tables
	libcrc32c nf_defrag_ipv4 nf_defrag_ipv6 nf_conntrack overlay)

suite() {
	case $1 in
		5.10) echo bullseye-security ;;
		6.1) echo bookworm-security ;;
		6.12) echo trixie-security ;;
		*) echo trixie-backports ;;
	esac
}

# The mirror this machine uses for security updates, or for everything else.
mirror() {
	local kind=$1
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		awk -v kind="$kind" '{ found = $2 ~ /-security$/ ? "security" : "archive" } found == kind { print $1; exit }'
}

# apt with sources, lists and packages of its own.
private_apt() {
	"$@" -qq \
		-o Dir::Etc::sourcelist="$work/sources" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null -o Dir::State::status=/dev/null \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3
}

list_packages() {
	local series suite kind url
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	for series in "$@"; do suite "$series"; done | sort -u | while read -r suite; do
		[[ $suite == *-security ]] && kind=security || kind=archive
		url=$(mirror $kind)
		echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${url:?no mirror for $suite} $suite main"
	done >"$work/sources"
	private_apt apt-get update
}

known() { private_apt apt-cache search --names-only "^${1//+/\\+}\$" | grep -q .; }

fetch() {
	local series=$1 release package packages module file
	local made=$work/$series root=$work/$series.root
	release=$(private_apt apt-cache search --names-only "^linux-image-${series//./\\.}\\.[0-9].*-cloud-amd64\$" |
		sed 's/^linux-image-\([^ ]*\).*/\1/' | sort -V | tail -1)
	if [ -z "$release" ]; then
		echo "kernels.sh: Debian's $(suite "$series") has no cloud kernel of series $series" >&2
		return 1
	fi
	packages=("linux-image-$release")
	if known "linux-binary-$release"; then
		# Since 6.19 linux-image-… is empty, and its contents are in these; not all have each.
		packages=()
		for package in linux-{base,binary,modules}-"$release"; do
			if known "$package"; then packages+=("$package"); fi
		done
	fi
	mkdir -p "$made/modules" "$work/$series.packages"
	(cd "$work/$series.packages" && private_apt apt-get download "${packages[@]}")
	for package in "$work/$series.packages"/*.deb; do dpkg-deb -x "$package" "$root"; done

	# The image and the configuration moved from /boot to the modules' directory.
	cp "$(find "$root" -type f -name 'vmlinuz*' | head -1)" "$made/vmlinuz"
	find "$root" -type f \( -path '*/boot/config-*' -o -path '*/modules/*/config' \) -exec cp {} "$made/config" \;
	for module in "${modules[@]}"; do
		file=$(find "$root" -name "$module.ko*" | head -1)
		case $file in
			*.xz) xz -dc "$file" >"$made/modules/$module.ko" ;;
			*.ko) cp "$file" "$made/modules/$module.ko" ;;
			'') ;;
			*) echo "kernels.sh: cannot read $file" >&2 && return 1 ;;
		esac
	done
	echo "${modules[*]}" >"$made/wanted"
	echo "$release" >"$made/release"
	rm -rf "${cache:?}/$series"
	mv "$made" "$cache/$series"
	rm -rf "$root" "$work/$series.packages"
	echo "fetched Linux $release" >&2
}

mkdir -p "$cache"
# Two runs at once wait for each other.
exec 9>"$cache/lock"
flock 9
missing=()
for series in "$@"; do
	# One that was fetched for other modules is fetched again.
	[ "$(cat "$cache/$series/wanted" 2>/dev/null)" = "${modules[*]}" ] || missing+=("$series")
done
if [ ${#missing[@]} -gt 0 ]; then
	work=$(mktemp -d "$cache/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	list_packages "${missing[@]}"
	for series in "${missing[@]}"; do fetch "$series"; done
fi
echo "$cache"
