# millrace: one Makefile, no recursion, no configure. `make help` lists the goals.

# MODE = release | debug | asan | tsan | cover
MODE  ?= release
BUILD ?= build
B     := $(BUILD)/$(MODE)
CC    := gcc
ARCH  := $(shell $(CC) -dumpmachine | cut -d- -f1)
V     ?= 0
Q     := $(if $(filter 1,$V),,@)

CFLAGS_release := -O2
CFLAGS_debug   := -O0 -DMR_DEBUG
CFLAGS_asan    := -O1 -DMR_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -DMR_DEBUG -fsanitize=thread
CFLAGS_cover   := -O0 -DMR_DEBUG --coverage
VERSION        := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP
CFLAGS   += -std=gnu2x -g -fno-omit-frame-pointer -ffp-contract=off -pthread $(CFLAGS_$(MODE)) \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion \
	-Wno-sign-conversion -Wpointer-arith -Wundef $(if $(CI),-Werror) $(if $(WERROR),-Werror)
LDFLAGS  += -pthread $(filter -fsanitize% --coverage,$(CFLAGS_$(MODE)))
# DPDK=0 leaves DPDK out: then --dataplane dpdk says so. Nothing but millrace-dpdk.so is linked with it.
DPDK     ?= 1
LIBS     := -luring -lzstd -llz4 -lsnappy -lz -lpcre2-8 -lhwloc -lm

# Kernels are compiled once per ISA; everything else for the weakest CPU. Floating sums keep one
# order on every ISA, so no mode may pass -ffast-math.
ISAS_x86_64  := scalar v3 v4 emu
ISAS_aarch64 := scalar neon
ISA_scalar   := -O2 -fno-tree-vectorize
ISA_v3       := -O3 -march=x86-64-v3 -mpclmul
ISA_v4       := -O3 -march=x86-64-v4 -mpclmul -mvpclmulqdq -mprefer-vector-width=512
ISA_emu      := -O2 -Wno-psabi
ISA_neon     := -O3 -march=armv8-a+crc
ISAS         := $(ISAS_$(ARCH))
# A cross build (goal isa) makes static programs for qemu; xxhash is only headers, the host's do.
ifneq ($(ARCH),$(shell uname -m))
CPPFLAGS += -idirafter /usr/include
LDFLAGS  += -static
endif

LIB_DIRS := host/base hw kernels dataplane dataplane/tcpip storage host host/sql host/view
DPDK_SRC := $(wildcard dataplane/tcpip/port_dpdk*.c)
LIB_SRC  := $(filter-out %_k.c host/main.c $(DPDK_SRC),$(wildcard $(LIB_DIRS:%=%/*.c)))
KERN_SRC := $(wildcard kernels/*_k.c)
LIB_OBJ  := $(LIB_SRC:%.c=$B/%.o) $(foreach i,$(ISAS),$(KERN_SRC:%.c=$B/$i/%.o))
LIB      := $B/libmillrace.a
CLI_OBJ  := $(patsubst %.c,$B/%.o,$(filter-out client/main.c,$(wildcard client/*.c)))
CLI_LIB  := $B/libclient.a
TLIB     := $B/libtest.a
TLIB_OBJ := $(patsubst %.c,$B/%.o,$(filter-out %/fuzz_main.c %/faultdisk.c,$(wildcard tests/lib/*.c)))

# Every test program is one file, named for its kind.
TEST_SRC := $(wildcard tests/unit/*_test.c tests/kernels/*_check.c tests/wire/*_test.c \
	tests/sql/*_test.c tests/crash/*_test.c tests/sim/*_test.c)
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
E2E_SRC  := $(wildcard tests/e2e/*.c)
BENCH_SRC := $(wildcard bench/*_bench.c)
TESTS    := $(TEST_SRC:%.c=$B/%)
CHECKS   := $(filter %_check,$(TESTS))
# All that a kernel check needs: no library but libc, so that it links for another CPU.
CHECK_OBJ := $(patsubst %,$B/%.o,kernels/dispatch hw/cpu host/base/rand host/base/err host/base/note) \
	$(foreach i,$(ISAS),$(KERN_SRC:%.c=$B/$i/%.o))
FUZZERS  := $(FUZZ_SRC:%.c=$B/%)
E2E_BIN  := $(E2E_SRC:%.c=$B/%) $B/tests/lib/faultdisk
BENCHES  := $(BENCH_SRC:%.c=$B/%)

.PHONY: all help deps test test-long test-dpdk ci run demo clean fmt fmt-check lint bench bench-wire bench-smoke fuzz check-bin check-isa isa
.SECONDARY:

DPDK_SO := $(if $(filter 0,$(DPDK)),,$B/millrace-dpdk.so)

all: $B/millraced $B/millrace $(DPDK_SO) ## build/millraced and build/millrace
	@ln -sf $(MODE)/millraced $(BUILD)/millraced
	@ln -sf $(MODE)/millrace $(BUILD)/millrace

help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 14

$B/millraced: $B/host/main.o $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$B/millrace: $B/client/main.o $(CLI_LIB) $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lpq

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcsD $@ $^

# An archive, so that a test gets only what it calls.
$(TLIB): $(TLIB_OBJ)
	@rm -f $@
	$(Q)ar rcsD $@ $^

$(CLI_LIB): $(CLI_OBJ)
	@rm -f $@
	$(Q)ar rcsD $@ $^

# The DPDK port and what it uses of ours, in one module that is loaded when it is asked for.
DPDK_OBJ := $(patsubst %.c,$B/pic/%.o,$(DPDK_SRC) dataplane/tcpip/dpdk_args.c dataplane/tcpip/steer.c \
	host/base/err.c host/base/note.c)
$(DPDK_OBJ): CPPFLAGS += $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libdpdk))
$B/pic/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -c -o $@ $<
$B/millrace-dpdk.so: $(DPDK_OBJ) tools/dpdk.map
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,--version-script=tools/dpdk.map -o $@ $(DPDK_OBJ) \
		$(shell pkg-config --libs libdpdk)

$B/client/%.o: CPPFLAGS += $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libpq))
$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
# What says the version is compiled again when that has changed.
VERSIONED := $(patsubst %,$B/%.o,client/main host/main host/daemon host/sql/fn_system)
$(VERSIONED): CPPFLAGS += -DMR_VERSION='"0.1-$(VERSION)"'
$(VERSIONED): $B/version
$B/version: FORCE
	@mkdir -p $(@D); echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
FORCE:

define ISA_RULE
$(B)/$1/kernels/%.o: kernels/%.c Makefile
	@mkdir -p $$(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(ISA_$1) -DMR_ISA=$1 -DMR_ISA_IS_$1 -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call ISA_RULE,$i)))

$B/tests/e2e/%: $B/tests/e2e/%.o $(TLIB) $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lrdkafka -lpq -lcmocka
$B/tests/lib/faultdisk: $B/tests/lib/faultdisk.o
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lfuse3
$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/tests/lib/fuzz_main.o $(TLIB) $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka
$B/tests/kernels/%: $B/tests/kernels/%.o $(CHECK_OBJ)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lm
$B/tests/%: $B/tests/%.o $(TLIB) $(CLI_LIB) $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka
$B/bench/%: $B/bench/%.o $(TLIB) $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

check-bin: $(TESTS) $(FUZZERS) $(DPDK_SO)

deps: ## install the Debian packages that build, demo and tests need
	$(Q)tools/deps

test: ## the short tests; ends with "N passed, N failed"
	$(Q)tools/deps
	$(Q)$(MAKE) --no-print-directory all check-bin $(E2E_BIN) $(BENCHES)
	$(Q)tools/run-tests $B $(T)

test-long: $B/tests/sim/tcp_life_test $B/tests/sim/attack_test ## 100,000 simulated lives, 1,000,000 connects and closes
	$(Q)LIVES=100000 $B/tests/sim/tcp_life_test
	$(Q)CHURN=1000000 $B/tests/sim/attack_test

test-dpdk: all $(E2E_BIN) $(BENCHES) ## the end-to-end tests that use the Kafka port, over DPDK; KIND=veth names the device
	$(Q)MILLRACE_DATAPLANE=dpdk:$(or $(KIND),tap) tools/run-tests $B $(T)

test-unit: check-bin ## unit, kernel, wire, SQL, crash and fuzz-replay tests only
	$(Q)tools/run-tests $B --no-e2e $(T)

check-isa: $(CHECKS)
	$(Q)for t in $(CHECKS); do $(RUN) $$t || exit 1; done
isa: ## the kernel checks on this CPU, and on aarch64 under qemu
	$(Q)$(MAKE) --no-print-directory check-isa
	$(Q)$(MAKE) --no-print-directory check-isa CC=aarch64-linux-gnu-gcc BUILD=$(BUILD)/aarch64 RUN=qemu-aarch64

fmt: ## format the sources
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format-14 -i
fmt-check: ## complain about unformatted sources
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run --Werror
lint: ## our rules: includes, doors, banned calls, file and function sizes
	$(Q)tools/tidy
ci: ## what CI runs
	$(Q).ci/run

demo: ## stream events in and watch a view change, about 20 s
	$(Q)tools/deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tools/demo
run: all ## serve on the default ports until stopped
	$(BUILD)/millraced --data $(BUILD)/data

bench: all ## the whole machine's benchmarks, about 10 min; see docs/PERFORMANCE.md
	$(Q)BUILD=$(BUILD) tools/run-bench
bench-wire: all $B/bench/sink_bench $B/tests/e2e/relay ## our TCP beside the kernel's, about 2 min; needs root and huge pages
	$(Q)BUILD=$(BUILD) tools/run-wire
bench-smoke: all ## the same in tiny sizes, about 10 s
	$(Q)BUILD=$(BUILD) tools/run-bench --smoke
clean: ## remove everything built
	rm -rf $(BUILD)

-include $(shell find $B -name '*.d' 2>/dev/null)
