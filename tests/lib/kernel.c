/*
 * kernel.c - bpf(2) by syscall number: libbpf would change what is loaded
 *
 * The attributes are zeroed by memset(): an initialiser need not reach beyond the member that it
 * names, and the kernel refuses what is not zero there.
 */
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <cmocka.h>
#include "btf/btf.h"
#include "run/test_run.h"
#include "tests/lib/kernel.h"
#include "tests/lib/lock_btf.h"
#include "uapi/bpf_insn.h"

int kernel_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long ret;

	do {
		ret = syscall(__NR_bpf, cmd, attr, sizeof(*attr));
	} while (ret < 0 && errno == EAGAIN && cmd == BPF_PROG_LOAD);
	return ret < 0 ? -errno : (int)ret;
}

int kernel_without_perfmon(bool on)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &header, caps))
		return -errno;
	for (int i = 0; i < 2; i++)
		caps[i].effective = caps[i].permitted;
	if (on) {
		caps[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
		caps[CAP_TO_INDEX(CAP_PERFMON)].effective &= ~CAP_TO_MASK(CAP_PERFMON);
	}
	return syscall(SYS_capset, &header, caps) ? -errno : 0;
}

int kernel_btf_load(const void *data, u32 size)
{
	union bpf_attr u;

	memset(&u, 0, sizeof(u));
	u.btf = (uintptr_t)data;
	u.btf_size = size;
	return kernel_bpf(BPF_BTF_LOAD, &u);
}

int kernel_prog_load(const struct bpf_prog_load_attr *attr, const int *map_fds, u32 log_level,
		     char *log, u32 log_size)
{
	union bpf_attr u;
	int __do_close btf_fd = -1;

	memset(&u, 0, sizeof(u));
	u.prog_type = attr->prog_type;
	u.expected_attach_type = attr->expected_attach_type;
	u.insns = (uintptr_t)attr->insns;
	u.insn_cnt = attr->insn_cnt;
	u.license = (uintptr_t)(attr->license ? attr->license : "GPL");
	u.prog_flags = attr->prog_flags;
	u.fd_array = (uintptr_t)map_fds;
	u.log_level = log ? log_level : 0;
	u.log_buf = log ? (uintptr_t)log : 0;
	u.log_size = log ? log_size : 0;
	if (attr->btf) {
		u32 size;
		const void *data = bpf_btf_raw(attr->btf, &size);

		btf_fd = kernel_btf_load(data, size);
		if (btf_fd < 0)
			return btf_fd;
		u.prog_btf_fd = btf_fd;
		u.func_info = (uintptr_t)attr->func_info;
		u.func_info_cnt = attr->func_info_cnt;
		u.func_info_rec_size = sizeof(*attr->func_info);
		u.line_info = (uintptr_t)attr->line_info;
		u.line_info_cnt = attr->line_info_cnt;
		u.line_info_rec_size = sizeof(*attr->line_info);
	}
	if (log && log_size)
		log[0] = 0;
	return kernel_bpf(BPF_PROG_LOAD, &u);
}

int kernel_test_run(int prog_fd, struct bpf_test_run *run)
{
	union bpf_attr u;
	int err;

	memset(&u, 0, sizeof(u));
	u.test.prog_fd = prog_fd;
	u.test.data_in = (uintptr_t)run->data_in;
	u.test.data_size_in = run->data_size_in;
	u.test.data_out = (uintptr_t)run->data_out;
	u.test.data_size_out = run->data_size_out;
	u.test.ctx_in = (uintptr_t)run->ctx_in;
	u.test.ctx_size_in = run->ctx_size_in;
	u.test.ctx_out = (uintptr_t)run->ctx_out;
	u.test.ctx_size_out = run->ctx_size_out;
	u.test.repeat = run->repeat;
	u.test.flags = run->flags;
	err = kernel_bpf(BPF_PROG_TEST_RUN, &u);
	run->retval = u.test.retval;
	run->duration = u.test.duration;
	run->data_size_out = u.test.data_size_out;
	run->ctx_size_out = u.test.ctx_size_out;
	return err;
}

int kernel_map_create(const struct bpf_map_spec *spec)
{
	return kernel_map_create_outer(spec, 0);
}

int kernel_map_create_outer(const struct bpf_map_spec *spec, int inner_fd)
{
	u32 btf[LOCK_BTF_WORDS], key_type;
	int __do_close btf_fd = -1;
	union bpf_attr u;

	memset(&u, 0, sizeof(u));
	u.map_type = spec->map_type;
	u.key_size = spec->key_size;
	u.value_size = spec->value_size;
	u.max_entries = spec->max_entries;
	u.map_flags = spec->map_flags;
	u.map_extra = spec->map_extra;
	u.inner_map_fd = (u32)inner_fd;
	if (spec->spin_lock_end) {
		btf_fd = kernel_btf_load(btf, lock_btf(spec, btf, &key_type));
		if (btf_fd < 0)
			return btf_fd;
		u.btf_fd = (u32)btf_fd;
		u.btf_key_type_id = key_type;
		u.btf_value_type_id = LOCK_BTF_VALUE;
	}
	return kernel_bpf(BPF_MAP_CREATE, &u);
}

static int map_elem(enum bpf_cmd cmd, int fd, const void *key, const void *value, u64 flags)
{
	union bpf_attr u;

	memset(&u, 0, sizeof(u));
	u.map_fd = fd;
	u.key = (uintptr_t)key;
	u.value = (uintptr_t)value;
	u.flags = flags;
	return kernel_bpf(cmd, &u);
}

int kernel_map_lookup(int fd, const void *key, void *value)
{
	return map_elem(BPF_MAP_LOOKUP_ELEM, fd, key, value, 0);
}

int kernel_map_lookup_flags(int fd, const void *key, void *value, u64 flags)
{
	return map_elem(BPF_MAP_LOOKUP_ELEM, fd, key, value, flags);
}

int kernel_map_update(int fd, const void *key, const void *value, u64 flags)
{
	return map_elem(BPF_MAP_UPDATE_ELEM, fd, key, value, flags);
}

int kernel_map_delete(int fd, const void *key)
{
	return map_elem(BPF_MAP_DELETE_ELEM, fd, key, NULL, 0);
}

int kernel_map_next_key(int fd, const void *key, void *next_key)
{
	return map_elem(BPF_MAP_GET_NEXT_KEY, fd, key, next_key, 0);
}

int kernel_map_freeze(int fd)
{
	union bpf_attr u;

	memset(&u, 0, sizeof(u));
	u.map_fd = fd;
	return kernel_bpf(BPF_MAP_FREEZE, &u);
}

void kernel_stay_on_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0 && cpu < CPU_SETSIZE) {
		CPU_SET(cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
}

const char *kernel_unavailable(void)
{
	static const struct bpf_insn insns[] = {BPF_MOV64_IMM(BPF_REG_0, 7), BPF_EXIT_INSN()};
	static char why[128];
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = insns,
		.insn_cnt = 2,
	};
	u8 packet[64] = {0};
	struct bpf_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};
	int __do_close fd = kernel_prog_load(&attr, NULL, 0, NULL, 0);
	int err = fd < 0 ? fd : kernel_test_run(fd, &run);

	if (!err && run.retval == 7)
		return NULL;
	snprintf(why, sizeof(why), "bpf(2) is not usable here: %s",
		 err ? strerror(-err) : "a test run gave a wrong value");
	return why;
}

static void skipped(void **state)
{
	print_message("%s\n", kernel_unavailable());
	skip();
}

void kernel_or_skip(struct CMUnitTest *tests, size_t cnt)
{
	if (!kernel_unavailable())
		return;
	for (size_t i = 0; i < cnt; i++)
		tests[i] = (struct CMUnitTest){tests[i].name, skipped, NULL, NULL, NULL};
}

int kernel_needed(void **state)
{
	return 0;
}

void kernel_or_skip_some(struct CMUnitTest *tests, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		if (tests[i].setup_func == kernel_needed)
			kernel_or_skip(&tests[i], 1);
}

int kernel_find_cgroup2(char *path, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024], dir[256];
	int err = -ENOENT;

	while (f && err && fgets(line, sizeof(line), f)) {
		if (!strstr(line, " - cgroup2 ") || sscanf(line, "%*s %*s %*s %*s %255s", dir) != 1)
			continue;
		snprintf(path, size, "%s", dir);
		err = 0;
	}
	if (f)
		fclose(f);
	return err;
}
