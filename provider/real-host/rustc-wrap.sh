#!/bin/sh
# wasmcloud-host 0.27.1 with current dependencies meets a limit of rustc 1.95 and newer (rust-lang/rust#152942). This raises
# the limit for that one crate, and leaves every other call as it is.
rustc="$1"; shift
prev=""
for argument in "$@"; do
  if [ "$prev" = "--crate-name" ] && [ "$argument" = "wasmcloud_host" ]; then
    RUSTC_BOOTSTRAP=1 exec "$rustc" "$@" '-Zcrate-attr=recursion_limit="512"'
  fi
  prev="$argument"
done
exec "$rustc" "$@"
