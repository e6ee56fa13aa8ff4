#!/usr/bin/env bash
# The kernel checks built for aarch64 and run under qemu-user: NEON gives the scalar table's bits.
# (The checks among the test programs do the same for each ISA of this CPU.)
set -u
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v $tool >/dev/null || { echo "no $tool here"; exit 77; }
done
unset MAKEFLAGS MAKELEVEL MFLAGS MODE
make -s -j2 BUILD="$(dirname "${MILLRACE_BUILD:-build/release}")/aarch64" \
	CC=aarch64-linux-gnu-gcc RUN=qemu-aarch64 check-isa
