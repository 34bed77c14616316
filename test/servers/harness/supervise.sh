#!/usr/bin/env bash
# supervise.sh <directory> <command...>: becomes the command, and outlives no test.
# A watcher in the same process group reads stdin, whose other end the test process holds. When that
# closes, for whatever reason (SIGKILL too), the whole group is killed and the directory removed.
set -u
directory=$1
shift
group=$$
(
  cat <&3 >/dev/null
  # The killer must not kill itself, so it leaves the group first. Siblings may still write for a moment.
  exec setsid bash -c 'kill -KILL -- "-$2"; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && break; sleep 0.2; done' \
    _ "$directory" "$group" 3<&-
) 3<&0 </dev/null >/dev/null 2>&1 &
exec "$@" </dev/null
