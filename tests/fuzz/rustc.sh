#!/bin/sh
# The compiler of our own crates under `cargo xtask test fuzz` (RUSTC_WORKSPACE_WRAPPER): edge
# coverage that libFuzzer reads, and comparisons that it learns from. Build scripts run without
# libFuzzer, and must not look for it.
case "$*" in
*"--crate-name lb_"*)
    exec "$@" -Copt-level=1 \
        -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*)
    exec "$@"
    ;;
esac
