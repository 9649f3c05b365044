# ubpffs: build, test and install. `make help` prints the lines that begin with #!
#
#! make               libubpffs, ubpffs (server), ubpfctl (client), the client library, the examples
#! make deps          install the packages that are missing (deps-build, deps-demo, deps-tests: a part)
#! make demo          install what is missing, build, mount, and show the main job on real packets
#! make demo-profile  sample a real process; the flame graph is build/flame.svg
#! make demo-cgroup   a firewall for the processes of a cgroup (root)
#! make check         install what the tests need, build, run every test; a summary at the end
#! make quick         the same in under two minutes, for the while that you work
#! make check-unit | check-differential | check-e2e | check-style    one part
#! make check-releases | check-arm64    the newcomer's commands in a Debian 12 and 13; the unit tests for aarch64 (qemu)
#! make bench         the tables of docs/performance.md
#! make fuzz          the generators, for FUZZ_SECONDS each
#! make format        clang-format over all files
#! make install       into $(DESTDIR)$(PREFIX); make uninstall takes it out again
#! make man           the manual pages, from docs/ (needs pandoc)
#! make deb           Debian packages in build/deb, checked by lintian
#! make compile_commands.json   for editors
#! make configurations          the numbers of docs/configurations.md
#! make clean
#!
#! Options: V=1  CC=gcc|clang  SAN=address,undefined|thread  WERROR=y  O=<build directory>  PREFIX=/usr/local
#!          CROSS_COMPILE=aarch64-linux-gnu-  RUN=<emulator that unit tests run in>
#!          CONFIG_BPF_SYSCALL=n   the interpreter, the classic converter and socket filters alone

# CROSS_COMPILE=aarch64-linux-gnu- builds for that machine (make check-arm64).
CROSS_COMPILE	?=
CC		= $(CROSS_COMPILE)gcc
AR		= $(CROSS_COMPILE)ar
LD		= $(CROSS_COMPILE)ld
OBJCOPY		= $(CROSS_COMPILE)objcopy
PKG_CONFIG	?= $(CROSS_COMPILE)pkg-config
CONFIG_BPF_SYSCALL ?= y
O		= build$(if $(filter n,$(CONFIG_BPF_SYSCALL)),-alone)$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(filter clang%,$(CC)),-clang)
PREFIX		?= /usr/local
LIBDIR		?= $(PREFIX)/lib
DESTDIR		?=
PYTHON		= /usr/bin/python3
# Where Debian's python3 looks: below /usr for packages, below /usr/local by its version.
PYTHONDIR	?= $(if $(filter /usr,$(PREFIX)),/usr/lib/python3,$(PREFIX)/lib/python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null))/dist-packages
BPF_CLANG	= $(firstword $(foreach c,clang-19 clang-20 clang-21 clang-18 clang,$(if $(shell command -v $(c)),$(c))))
FUZZ_SECONDS	?= 60
# The newest entry of the changelog: "ubpffs (0.1.0) ...".
VERSION		:= $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
comma		= ,
JOBS		= $(shell nproc)

# All CPUs, unless the caller says how many.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS	+= -j$(JOBS)
endif

# One short line a file; V=1 shows the commands.
V		?= 0
ifeq ($(V),1)
said		= $(1)
else
said		= @printf '  %-8s %s\n' '$(strip $(2))' '$@' && $(1)
endif

# ---------------------------------------------------------------- flags
CFLAGS		?= -O2 -g
# Errors in our tests, not for people whose compiler knows new warnings.
WERROR		?= n
WARN		= -Wall -Wextra $(if $(filter y,$(WERROR)),-Werror) -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
		  -Wmissing-prototypes -Wstrict-prototypes -Wvla
ALL_CFLAGS	= -std=gnu11 $(WARN) $(CFLAGS) -fPIC -fvisibility=hidden -fno-strict-aliasing \
		  -D_GNU_SOURCE -DUBPFFS_VERSION='"$(VERSION)"' -I. -Iengine \
		  $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) \
		  $(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=undefined)
ALL_LDFLAGS	= $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))

ENGINE_PKGS	= libelf libdw liburcu libbpf zlib
FS_PKGS		= fuse3 libmnl libnetfilter_queue libpcap libseccomp mount
TOOLS_PKGS	= libpcap libbpf libmicrohttpd ncursesw
MULTIARCH	:= $(shell $(CC) -print-multiarch)
pkg_cflags	= $(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null)
pkg_libs	= $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)

ENGINE_CFLAGS	:= $(call pkg_cflags,$(ENGINE_PKGS))
ENGINE_LIBS	:= $(call pkg_libs,$(ENGINE_PKGS)) -lpthread -lm
FS_CFLAGS	:= $(call pkg_cflags,$(FS_PKGS))
FS_LIBS		:= $(call pkg_libs,$(FS_PKGS))
TOOLS_LIBS	:= $(call pkg_libs,$(TOOLS_PKGS))

# ---------------------------------------------------------------- sources
ENGINE_SRCS	:= $(filter-out engine/alone/% %.bpf.c,$(wildcard engine/*.c engine/*/*.c engine/*/*/*.c))
FS_SRCS		:= $(wildcard fs/*.c fs/*/*.c fs/*/*/*.c fs/*/*/*/*.c)
UAPI_SRCS	:= $(wildcard uapi/*.c)
UAPI_HEADERS	:= $(filter-out uapi/client_mount.h,$(wildcard uapi/*.h))
LOCAL_SRCS	:= $(wildcard local/*.c)
TOOLS_SRCS	:= $(wildcard tools/*.c tools/*/*.c tools/*/*/*.c)
UNIT_SRCS	:= $(wildcard tests/unit/test_*.c)
DIFF_SRCS	:= $(wildcard tests/differential/diff_*.c)
TABLE_SRCS	:= $(wildcard tests/verifier/test_*.c)
FUZZ_SRCS	:= $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRCS	:= $(wildcard tests/bench/bench_*.c)
TESTLIB_SRCS	:= $(wildcard tests/lib/*.c)
EXAMPLE_SRCS	:= $(wildcard examples/*.c)
EXAMPLE_BPF	:= $(wildcard examples/*.bpf.c)
TEST_BPF	:= $(wildcard tests/progs/*.bpf.c)

# The smaller configuration is a choice of files. It needs no library, and its tests no privilege but
# those that compare with the running kernel.
ifeq ($(CONFIG_BPF_SYSCALL),n)
ENGINE_SRCS	:= $(addprefix engine/insn/,insn.c disasm.c func.c) $(addprefix engine/run/,interp.c packet.c) \
		   engine/util/log.c \
		   $(addprefix engine/prog_type/skb/,skb.c classic_helpers.c poff.c) \
		   engine/ubpffs_filter.c $(wildcard engine/classic/*.c engine/alone/*.c)
ENGINE_CFLAGS	:= -Iengine/rcu/alone
ENGINE_LIBS	:=
FS_CFLAGS	:=
UNIT_SRCS	:= $(patsubst %,tests/unit/test_%.c,insn disasm interp classic_check classic_convert \
		     classic_text ubpffs_filter)
DIFF_SRCS	:= tests/differential/diff_classic.c
FUZZ_SRCS	:= tests/fuzz/fuzz_classic.c
TESTLIB_SRCS	:= $(patsubst %,tests/lib/%.c,classic classic_kernel frames kernel lock_btf rawprog testop testprog \
		     alone/btf)
FS_SRCS		:=
UAPI_SRCS	:=
LOCAL_SRCS	:=
TOOLS_SRCS	:=
TABLE_SRCS	:=
BENCH_SRCS	:=
EXAMPLE_SRCS	:=
EXAMPLE_BPF	:=
TEST_BPF	:=
endif

objs		= $(patsubst %.c,$(O)/%.o,$(1))
ENGINE_OBJS	= $(call objs,$(ENGINE_SRCS))
FS_OBJS		= $(call objs,$(FS_SRCS))
UAPI_OBJS	= $(call objs,$(UAPI_SRCS))
LOCAL_OBJS	= $(call objs,$(LOCAL_SRCS))
# The server without its main(), for the server and for unit tests of its parts.
FS_A		= $(if $(FS_SRCS),$(O)/libubpffs-fs.a)
# What tests look at of the client.
TOOLS_TEST_OBJS	= $(if $(TOOLS_SRCS),$(O)/tools/flame/fold.o $(O)/tools/flame/svg.o $(O)/tools/lib/bytes.o $(O)/tools/watch/samples.o \
		  $(O)/tools/run/caller/caller.o)
TOOLS_OBJS	= $(call objs,$(TOOLS_SRCS))
TESTLIB_OBJS	= $(call objs,$(TESTLIB_SRCS))
UNIT_BINS	= $(patsubst tests/%.c,$(O)/tests/%,$(UNIT_SRCS) $(TABLE_SRCS))
DIFF_BINS	= $(patsubst tests/%.c,$(O)/tests/%,$(DIFF_SRCS))
FUZZ_BINS	= $(patsubst tests/%.c,$(O)/tests/%,$(FUZZ_SRCS))
BENCH_BINS	= $(patsubst tests/%.c,$(O)/tests/%,$(BENCH_SRCS))
# skeleton_client.c and perf_client.c are built by their tests, against libbpf.
E2E_BINS	= $(patsubst %.c,$(O)/%,$(filter-out %/skeleton_client.c %/perf_client.c,$(wildcard tests/e2e/*.c)))
EXAMPLE_BINS	= $(patsubst %.c,$(O)/%,$(filter-out %.bpf.c,$(EXAMPLE_SRCS)))
BPF_OBJS	= $(patsubst %.bpf.c,$(O)/%.bpf.o,$(EXAMPLE_BPF) $(TEST_BPF))

# The engine twice: for users only its public functions are visible, the server and the tests see inside.
LIB_A		= $(O)/libubpffs.a
ENGINE_A	= $(O)/libubpffs-engine.a
LIB_SO		= $(O)/libubpffs.so
SERVER		= $(O)/ubpffs
CTL		= $(O)/ubpfctl
CLIENT_A	= $(if $(UAPI_SRCS),$(O)/libubpffs-client.a)
CLIENT_SO	= $(if $(UAPI_SRCS),$(O)/libubpffs-client.so)
# Over both libraries: programs of a mount in a process of one's own.
LOCAL_A		= $(if $(LOCAL_SRCS),$(O)/libubpffs-local.a)
TESTLIB_A	= $(O)/tests/libtests.a
PRELOADS	= $(if $(FS_SRCS),$(O)/tests/failnth.so $(O)/tests/kill_at.so $(O)/tests/try_calls.so \
		  $(O)/tests/record_writes.so)

.PHONY: all man deb uninstall install-service deps-packages check-packages check-releases check-arm64 help lib deps deps-build deps-demo deps-tests check quick check-unit check-differential check-e2e \
	check-e2e-quick check-style demo demo-profile demo-cgroup bench fuzz install install-lib install-server \
	configurations clean format format-check tests bpf-objects compile_commands.json
.SECONDARY:
.DELETE_ON_ERROR:

# Without the packages the first compile would fail in the middle of a header.
missing_pkgs	= $(if $(FS_SRCS),$(shell $(PKG_CONFIG) --exists $(ENGINE_PKGS) $(FS_PKGS) $(TOOLS_PKGS) || echo yes))
all: | check-packages
check-packages:
	@$(if $(missing_pkgs),echo "make: packages are missing: run 'make deps' (as root, or with sudo)" >&2; exit 1)

all: lib $(if $(FS_SRCS),$(SERVER)) $(if $(TOOLS_SRCS),$(CTL)) $(EXAMPLE_BINS) bpf-objects
lib: $(ENGINE_A) $(LIB_A) $(LIB_SO) $(CLIENT_A) $(CLIENT_SO) $(LOCAL_A)
tests: all $(PRELOADS) $(UNIT_BINS) $(DIFF_BINS) $(FUZZ_BINS) $(BENCH_BINS) $(if $(FS_SRCS),$(E2E_BINS))
bpf-objects: $(BPF_OBJS)

# ---------------------------------------------------------------- rules
$(O)/engine/%.o: engine/%.c
	@mkdir -p $(@D)
	$(call said,$(CC) $(ALL_CFLAGS) $(ENGINE_CFLAGS) -MMD -MP -c $< -o $@,CC)

# The fault guard knows the interpreter by where its code is, so its atomics are not calls.
$(O)/engine/run/interp.o: ALL_CFLAGS += $(if $(filter aarch64%,$(MULTIARCH)),-mno-outline-atomics)
# Each instruction's code begins a fetch block; else how fast programs are is luck, by a third. clang has no such option.
$(O)/engine/run/interp.o: ALL_CFLAGS += $(if $(findstring clang,$(CC)),,-falign-labels=32)

# These say the version.
$(addprefix $(O)/,fs/options.o fs/tree/root.o tools/ubpfctl.o): debian/changelog

# The types that the engine answers CO-RE relocations from are an object inside of it.
CORE_TYPES	= $(O)/engine/object/co_re/core_types.bpf.o
$(O)/engine/object/co_re/core_types.o: $(CORE_TYPES)
$(O)/engine/object/co_re/core_types.o: ALL_CFLAGS += -DUBPFFS_CORE_TYPES='"$(CORE_TYPES)"'

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(call said,$(CC) $(ALL_CFLAGS) $(ENGINE_CFLAGS) $(FS_CFLAGS) -MMD -MP -c $< -o $@,CC)

# BPF objects are compiled for the bpf target; -g gives BTF and line info. The line before the
# code that says `ubpffs-cflags:` adds flags for one file (-mcpu=v4, say).
bpf_cc		= $(call said,$(BPF_CLANG) -target bpf -O2 -g -Wall -mcpu=v3 \
		$(if $(filter y,$(WERROR)),-Werror) \
		$$(sed -n 's/.*ubpffs-cflags:\([^*]*\).*/\1/p' $<) -D__TARGET_$(firstword $(subst -, ,$(MULTIARCH)))__ \
		-I. -I/usr/include/$(MULTIARCH) -MMD -MP -c $< -o $@,BPF)

$(O)/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(bpf_cc)

$(O)/engine/%.bpf.o: engine/%.bpf.c
	@mkdir -p $(@D)
	$(bpf_cc)

$(ENGINE_A): $(ENGINE_OBJS)
	$(call said,rm -f $@ && $(AR) rcs $@ $^,AR)

# An archive of one object that shows only its public functions.
localised_archive = $(LD) -r -o $(O)/$(1).o $^ && $(OBJCOPY) --localize-hidden $(O)/$(1).o && rm -f $@ && \
	$(AR) rcs $@ $(O)/$(1).o

$(LIB_A): $(ENGINE_OBJS)
	$(call said,$(call localised_archive,libubpffs),AR)

$(LIB_SO): $(ENGINE_OBJS) engine/ubpffs.map
	$(call said,$(CC) $(ALL_LDFLAGS) -shared -Wl$(comma)-soname$(comma)libubpffs.so.0 \
		-Wl$(comma)--version-script=engine/ubpffs.map -o $@ $(ENGINE_OBJS) $(ENGINE_LIBS),LD)

$(CLIENT_A): $(UAPI_OBJS)
	$(call said,$(call localised_archive,libubpffs-client),AR)

$(LOCAL_A): $(LOCAL_OBJS)
	$(call said,$(call localised_archive,libubpffs-local),AR)

# Never sanitized: programs that load it (an interpreter, say) are not.
$(CLIENT_SO): $(UAPI_SRCS) $(wildcard uapi/*.h) uapi/client.map
	@mkdir -p $(@D)
	$(call said,$(CC) $(filter-out -fsanitize=% -fno-sanitize%,$(ALL_CFLAGS)) $(LDFLAGS) -shared \
		-Wl$(comma)-soname$(comma)libubpffs-client.so.0 -Wl$(comma)--version-script=uapi/client.map \
		-o $@ $(UAPI_SRCS) -lpthread,LD)

$(FS_A): $(filter-out $(O)/fs/main.o,$(FS_OBJS))
	$(call said,rm -f $@ && $(AR) rcs $@ $^,AR)

$(SERVER): $(O)/fs/main.o $(FS_A) $(ENGINE_A)
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $^ $(FS_LIBS) $(ENGINE_LIBS),LD)

# Of the engine what reads and prints types, and no program is run here.
TOOLS_ENGINE	= $(addprefix $(O)/engine/,$(addprefix util/,cpu_list.o sha256.o write_all.o) btf/btf_check.o insn/disasm.o insn/insn.o insn/func.o $(addprefix text/,text.o typed.o json_print.o \
		  json_parse.o value_text.o error.o))
$(CTL): $(TOOLS_OBJS) $(TOOLS_ENGINE) $(CLIENT_A)
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $^ $(TOOLS_LIBS) -lpthread -lm,LD)

# What is profiled keeps its frame pointers, and is never sanitized.
$(O)/examples/burn.o: ALL_CFLAGS := $(filter-out -fsanitize=% -fno-sanitize%,$(ALL_CFLAGS)) \
				      -fno-omit-frame-pointer

$(O)/examples/%: $(O)/examples/%.o $(LOCAL_A) $(LIB_A) $(CLIENT_A)
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ENGINE_LIBS),LD)

TEST_LIBS	= -lcmocka $(if $(FS_SRCS),-lcapstone)
$(addprefix $(O)/tests/,differential/diff_classic fuzz/fuzz_classic): TEST_LIBS += $(TOOLS_LIBS)

# Every test program is one C file linked against the engine, the client and what it needs of tests/lib;
# the watchdog is in all of them.
$(TESTLIB_A): $(TESTLIB_OBJS)
	$(call said,rm -f $@ && $(AR) rcs $@ $^,AR)

$(O)/tests/%: $(O)/tests/%.o $(O)/tests/lib/watchdog.o $(TESTLIB_A) $(TOOLS_TEST_OBJS) $(FS_A) $(ENGINE_A) $(CLIENT_A) | bpf-objects
	@mkdir -p $(@D)
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(TEST_LIBS) $(FS_LIBS) $(ENGINE_LIBS),LD)

# The benchmark's programs once more, by the same compiler for this machine.
$(O)/tests/bench/native/native.o: tests/bench/native/native.c
	@mkdir -p $(@D)
	$(call said,$(BPF_CLANG) -O2 -g -Wall $(if $(filter y,$(WERROR)),-Werror) -I. -Itests/bench/native \
		-MMD -MP -c $< -o $@ && $(OBJCOPY) --keep-global-symbol=bench_native $@,CC)

$(O)/tests/bench/bench_exec: $(O)/tests/bench/native/native.o

$(O)/tests/bench/bench_local: $(O)/tests/bench/bench_local.o $(LOCAL_A) $(LIB_A) $(CLIENT_A) | bpf-objects
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(ENGINE_LIBS),LD)

# A client alone, as users link it.
$(O)/tests/bench/bench_ring: $(O)/tests/bench/bench_ring.o $(CLIENT_A) | bpf-objects
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) -lpthread,LD)

# Preloaded into a server by the tests that fail its N-th call, or kill it. Never sanitized.
$(O)/tests/%.so: tests/preload/%.c
	@mkdir -p $(@D)
	$(call said,$(CC) -std=gnu11 -O1 -g -Wall -Wextra -fPIC -shared -fvisibility=hidden -D_GNU_SOURCE \
		-o $@ $< -ldl -lpthread,LD)

$(O)/tests/e2e/local_client: $(O)/tests/e2e/local_client.o $(LOCAL_A) $(LIB_A) $(CLIENT_A)
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ENGINE_LIBS),LD)

# What stands beside the server in the end-to-end tests.
$(O)/tests/e2e/%: $(O)/tests/e2e/%.o
	$(call said,$(CC) $(ALL_LDFLAGS) -o $@ $< $(FS_LIBS),LD)

# ---------------------------------------------------------------- packages
deps: deps-build deps-demo deps-tests
deps-build deps-demo deps-tests deps-packages: deps-%:
	@sh tools/deps.sh deps.list $*
.NOTPARALLEL: deps

# ---------------------------------------------------------------- tests
# Everything, also after a part has failed; one summary at the end.
check: deps
	+@sh tests/check.sh $(O) "$(SAN)" $(if $(FS_SRCS),all,alone) $(CHECK_PARTS)

# In under two minutes: what most changes break.
quick: deps
	+@STRESS_SECONDS=0.3 sh tests/check.sh $(O) "$(SAN)" quick

check-unit: $(UNIT_BINS)
	@sh tests/run-cmocka.sh $(O)/tests/unit-results $(UNIT_BINS)

check-differential: $(DIFF_BINS)
	$(if $(FS_SRCS),@sh tests/differential/matrix.sh $(O) $(MULTIARCH))
	@sh tests/run-cmocka.sh $(O)/tests/differential-results $(DIFF_BINS)

PYTEST		= PYTHONDONTWRITEBYTECODE=1 UBPFFS_BUILD=$(abspath $(O)) UBPFFS_SAN=$(SAN) $(PYTHON) -m pytest -q \
		  -rs -p no:cacheprovider
check-e2e: all $(PRELOADS) $(E2E_BINS)
	@$(PYTEST) tests/e2e

# The end-to-end tests that meet each part once, with the state on one filesystem.
QUICK_E2E	= test_maps.py test_progs_new.py test_tree.py test_client.py test_restart.py
check-e2e-quick: all $(PRELOADS) $(E2E_BINS)
	@$(PYTEST) -k "not disk" $(addprefix tests/e2e/,$(QUICK_E2E))

# In Debians of their own below ROOTS: needs root and a mirror, else it says why it does nothing.
ROOTS		?= build-roots
check-releases:
	@mkdir -p $(ROOTS)
	@sh tests/releases.sh $(abspath $(ROOTS)) $(RELEASES)
check-arm64:
	@mkdir -p $(ROOTS)
	@sh tests/arm64.sh $(abspath $(ROOTS))/arm64

# What keeps the house: format, columns, who may include whom, names that are there.
check-style:
	@sh tests/style.sh

fuzz: deps
	@$(MAKE) --no-print-directory tests O=$(O)
	@for f in $(FUZZ_BINS); do $$f -seconds $(FUZZ_SECONDS) || exit 1; done
	$(if $(FS_SRCS),@UBPFFS_BUILD=$(abspath $(O)) UBPFFS_SAN=$(SAN) $(PYTHON) tests/e2e/failnth.py -s $(FUZZ_SECONDS))
	$(if $(FS_SRCS),@UBPFFS_BUILD=$(abspath $(O)) UBPFFS_SAN=$(SAN) $(PYTHON) tests/e2e/killnth.py -s $(FUZZ_SECONDS))
	$(if $(FS_SRCS),@UBPFFS_BUILD=$(abspath $(O)) UBPFFS_SAN=$(SAN) $(PYTHON) tests/fuzz/fuzz_start.py \
		-seconds $(FUZZ_SECONDS))
	$(if $(FS_SRCS),@for mode in each close none; do UBPFFS_BUILD=$(abspath $(O)) UBPFFS_SAN=$(SAN) $(PYTHON) \
		tests/e2e/power_loss.py -seconds $(FUZZ_SECONDS) -mode $$mode || exit 1; done)
	$(if $(FS_SRCS),@UBPFFS_BUILD=$(abspath $(O)) UBPFFS_SAN=$(SAN) $(PYTHON) tests/fuzz/fuzz_users.py \
		-seconds $(FUZZ_SECONDS))
	$(if $(FS_SRCS),@UBPFFS_BUILD=$(abspath $(O)) UBPFFS_SAN=$(SAN) $(PYTHON) tests/fuzz/fuzz_bpf2.py \
		-seconds $(FUZZ_SECONDS))

bench: deps
	@$(MAKE) --no-print-directory tests O=$(O)
	@sh tests/bench/run.sh $(O) docs/performance.md

demo: deps-build deps-demo
	@$(MAKE) --no-print-directory all O=$(O)
	@bash examples/demo.sh $(O) $(PCAP)

# A flame graph of examples/burn.c: $(O)/flame.svg
demo-profile: deps-build deps-demo
	@$(MAKE) --no-print-directory all O=$(O)
	@bash examples/profile.sh $(O)

# A firewall for real processes in cgroups (root)
demo-cgroup: deps-build deps-demo
	@$(MAKE) --no-print-directory all O=$(O)
	@bash examples/cgroup.sh $(O)

# ---------------------------------------------------------------- housekeeping
help:
	@sed -n 's/^#! \{0,1\}//p' Makefile

compile_commands.json:
	@$(MAKE) --no-print-directory -nB V=1 all tests O=$(O) | $(PYTHON) tools/compile_commands.py > $@

FORMAT_SRCS	= $(shell git ls-files '*.c' '*.h' | grep -v '\.bpf\.c$$')
format:
	@clang-format -i $(FORMAT_SRCS)
format-check:
	@clang-format --dry-run -Werror $(FORMAT_SRCS)

# The manual pages: from docs/man, the reference, and the public headers
MAN_PAGES	= $(addprefix $(O)/man/,$(patsubst docs/man/%.md,%,$(wildcard docs/man/*.md)) ubpffs-tree.5 \
		  libubpffs.3 libubpffs-client.3 libubpffs-local.3)
man: $(MAN_PAGES)
$(MAN_PAGES): MAN_SRC = docs/man/$(@F).md
$(O)/man/ubpffs-tree.5: MAN_SRC = docs/reference.md
$(O)/man/libubpffs.3: MAN_SRC = engine/ubpffs_engine.h
$(O)/man/libubpffs-client.3: MAN_SRC = uapi/ubpffs_client.h
$(O)/man/libubpffs-local.3: MAN_SRC = local/ubpffs_local.h
$(MAN_PAGES): tools/man.sh docs/reference.md debian/changelog engine/ubpffs_engine.h uapi/ubpffs_client.h local/ubpffs_local.h $(wildcard docs/man/*.md)
	@mkdir -p $(@D)
	$(call said,sh tools/man.sh $(MAN_SRC) $(@F) $(VERSION) > $@,MAN)

# What is installed where
install: install-lib $(if $(FS_SRCS),install-server install-service)
HEADERS		= engine/ubpffs_filter.h $(if $(FS_SRCS),engine/ubpffs_engine.h local/ubpffs_local.h $(UAPI_HEADERS))
UNITDIR		?= $(PREFIX)/lib/systemd
SHARE		= $(PREFIX)/share
shared_lib	= install -m 755 $(1) $(DESTDIR)$(LIBDIR)/$(notdir $(1)).0 && ln -sf $(notdir $(1)).0 $(DESTDIR)$(LIBDIR)/$(notdir $(1))

install-lib: lib
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include/ubpffs
	install -m 644 $(LIB_A) $(CLIENT_A) $(LOCAL_A) $(DESTDIR)$(LIBDIR)
	$(call shared_lib,$(LIB_SO))
	$(if $(FS_SRCS),$(call shared_lib,$(CLIENT_SO)))
	install -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include/ubpffs
	for pc in engine/ubpffs $(if $(FS_SRCS),uapi/ubpffs-client local/ubpffs-local); do \
		sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' \
			-e 's|@REQUIRES@|$(if $(FS_SRCS),$(ENGINE_PKGS))|' \
			$$pc.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/$${pc##*/}.pc || exit 1; done

# mount(8) looks for its helpers in sbin.
install-server: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PYTHONDIR)/ubpffs
	install -m 755 $(SERVER) $(CTL) $(DESTDIR)$(PREFIX)/bin
	ln -sf ../bin/ubpffs $(DESTDIR)$(PREFIX)/sbin/mount.fuse.ubpffs
	install -m 644 $(wildcard python/ubpffs/*.py) $(DESTDIR)$(PYTHONDIR)/ubpffs

# Units of the machine and of each user, completions, and the manual where pandoc is
COMPLETIONS	= bash:bash-completion/completions/ubpfctl zsh:zsh/site-functions/_ubpfctl \
		  fish:fish/vendor_completions.d/ubpfctl.fish
install-service: all $(if $(shell command -v pandoc),man)
	install -d $(DESTDIR)$(UNITDIR)/system $(DESTDIR)$(UNITDIR)/user
	for unit in system user; do sed 's|@PREFIX@|$(PREFIX)|' service/ubpffs-$$unit.service.in \
		> $(DESTDIR)$(UNITDIR)/$$unit/ubpffs.service || exit 1; done
	for c in $(COMPLETIONS); do install -d $(DESTDIR)$(SHARE)/$$(dirname $${c#*:}) && \
		$(if $(CROSS_COMPILE),$(RUN)) $(CTL) completion $${c%%:*} > $(DESTDIR)$(SHARE)/$${c#*:} || exit 1; done
	for page in $(if $(shell command -v pandoc),$(MAN_PAGES)); do \
		install -D -m 644 $$page $(DESTDIR)$(SHARE)/man/man$${page##*.}/$${page##*/} || exit 1; done
	$(if $(shell command -v pandoc),ln -sf ubpffs.8 $(DESTDIR)$(SHARE)/man/man8/mount.fuse.ubpffs.8)

# What an installation would be made of goes; directories stay when something else is in them.
uninstall:
	rm -rf $(O)/image
	@$(MAKE) --no-print-directory install DESTDIR=$(abspath $(O))/image > /dev/null
	cd $(O)/image && find . ! -type d -printf '%P\n' | sed 's|^|$(DESTDIR)/|' | xargs rm -f
	cd $(O)/image && find . -depth -type d -name '*ubpffs*' -printf '%P\n' | sed 's|^|$(DESTDIR)/|' | \
		xargs -r rmdir --ignore-fail-on-non-empty
	rm -rf $(O)/image

# Debian packages of what is committed
deb: deps-build deps-packages
	@sh tools/deb.sh $(abspath $(O))/deb

# What the smaller configuration saves, counted in two builds.
configurations:
	@$(MAKE) --no-print-directory lib O=$(O)
	@$(MAKE) --no-print-directory lib CONFIG_BPF_SYSCALL=n O=$(O)-alone
	@sh tools/configurations.sh $(O) $(O)-alone docs/configurations.md

# Every configuration's, unless O names one.
clean:
	rm -rf $(if $(filter file,$(origin O)),build build-*,$(O) $(O)-alone)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
