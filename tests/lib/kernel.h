/*
 * kernel.h - the running kernel's bpf(2), as an oracle for tests
 *
 * Thin: one function a command, file descriptors are the caller's to close, errors are -errno.
 */
#ifndef UBPFFS_TESTS_KERNEL_H
#define UBPFFS_TESTS_KERNEL_H

#include "core/prog.h"
#include "run/run.h"
#include "run/test_run.h"

/* bpf(2) itself; -errno. */
int kernel_bpf(enum bpf_cmd cmd, union bpf_attr *attr);

/*
 * From now on (or not any more) this thread has CAP_BPF and CAP_NET_ADMIN, and neither CAP_PERFMON
 * nor CAP_SYS_ADMIN. 0 or -errno.
 */
int kernel_without_perfmon(bool on);

/* Where cgroup v2 is mounted. -ENOENT: nowhere. */
int kernel_find_cgroup2(char *path, size_t size);

/* Why bpf(2) cannot be used here, or NULL when it can (a program was loaded and run). */
const char *kernel_unavailable(void);

/*
 * From now on this thread runs on the CPU that it is on: programs see the same places of per-CPU
 * maps in every run.
 */
void kernel_stay_on_cpu(void);

/*
 * For a group whose every test compares with the kernel: without one each says so and is skipped,
 * and has no setup.
 */
struct CMUnitTest;
void kernel_or_skip(struct CMUnitTest *tests, size_t cnt);
/* The same for the tests whose setup is kernel_needed(): a setup that skips counts as failed. */
void kernel_or_skip_some(struct CMUnitTest *tests, size_t cnt);
int kernel_needed(void **state);

/*
 * Load what attr describes; map references are BPF_PSEUDO_MAP_IDX(_VALUE) into map_fds. log (may be
 * NULL) gets log_size bytes of text at log_level. Returns a descriptor.
 */
int kernel_prog_load(const struct bpf_prog_load_attr *attr, const int *map_fds, u32 log_level,
		     char *log, u32 log_size);
int kernel_btf_load(const void *data, u32 size);
int kernel_test_run(int prog_fd, struct bpf_test_run *run);

/* With spin_lock_end, BTF of such values is loaded for it. */
int kernel_map_create(const struct bpf_map_spec *spec);
int kernel_map_create_outer(const struct bpf_map_spec *spec, int inner_fd); /* a map of maps */
int kernel_map_lookup(int fd, const void *key, void *value);
int kernel_map_lookup_flags(int fd, const void *key, void *value, u64 flags);
int kernel_map_update(int fd, const void *key, const void *value, u64 flags);
int kernel_map_delete(int fd, const void *key);
int kernel_map_next_key(int fd, const void *key, void *next_key);
int kernel_map_freeze(int fd);

#endif
