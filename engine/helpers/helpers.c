/*
 * helpers.c - the helpers that every program type has
 *
 * Each helper is a function of five 64-bit registers and a prototype that says what the verifier
 * checks before a call. Pointers have been checked when a helper runs; values have not. Helpers run
 * inside the RCU read section of the program that calls them, on its slot, and never wait.
 */
#include <ctype.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include "core/map.h"
#include "helpers/dynptr.h"
#include "helpers/helpers.h"
#include "helpers/map_helpers.h"
#include "helpers/printk.h"
#include "map/spin_lock.h"
#include "run/callback.h"
#include "run/run.h"
#include "util/clock.h"

/* ---- maps */

BPF_HELPER(map_lookup_elem)
{
	struct bpf_map *map = PTR(r1);

	return (uintptr_t)map->ops->map_lookup_elem(map, PTR(r2));
}

BPF_HELPER(map_update_elem)
{
	struct bpf_map *map = PTR(r1);

	return (u64)map->ops->map_update_elem(map, PTR(r2), PTR(r3), r4);
}

BPF_HELPER(map_delete_elem)
{
	struct bpf_map *map = PTR(r1);

	return (u64)map->ops->map_delete_elem(map, PTR(r2));
}

static const struct bpf_func_proto bpf_map_lookup_elem_proto = {
	.name = "bpf_map_lookup_elem",
	.id = BPF_FUNC_map_lookup_elem,
	.func = bpf_map_lookup_elem,
	.pkt_access = true,
	.ret_type = RET_PTR_TO_MAP_VALUE_OR_NULL,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MAP_KEY},
};

static const struct bpf_func_proto bpf_map_update_elem_proto = {
	.name = "bpf_map_update_elem",
	.id = BPF_FUNC_map_update_elem,
	.func = bpf_map_update_elem,
	.pkt_access = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MAP_KEY, ARG_PTR_TO_MAP_VALUE, ARG_ANYTHING},
};

static const struct bpf_func_proto bpf_map_delete_elem_proto = {
	.name = "bpf_map_delete_elem",
	.id = BPF_FUNC_map_delete_elem,
	.func = bpf_map_delete_elem,
	.pkt_access = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MAP_KEY},
};

/* Only per-CPU types have it, and the verifier lets only these come here. */
BPF_HELPER(map_lookup_percpu_elem)
{
	struct bpf_map *map = PTR(r1);

	if (!map->ops->map_lookup_percpu_elem)
		return 0;
	return (uintptr_t)map->ops->map_lookup_percpu_elem(map, PTR(r2), (u32)r3);
}

static const struct bpf_func_proto map_lookup_percpu_elem_proto = {
	.name = "bpf_map_lookup_percpu_elem",
	.id = BPF_FUNC_map_lookup_percpu_elem,
	.func = bpf_map_lookup_percpu_elem,
	.pkt_access = true,
	.ret_type = RET_PTR_TO_MAP_VALUE_OR_NULL,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MAP_KEY, ARG_ANYTHING},
};

/*
 * The rewriter turns the call into BPF_TAIL_CALL; the function is what a mistake there would run.
 */
BPF_HELPER(tail_call)
{
	return (u64)-ENOTSUP;
}

static const struct bpf_func_proto bpf_tail_call_proto = {
	.name = "bpf_tail_call",
	.id = BPF_FUNC_tail_call,
	.func = bpf_tail_call,
	.ret_type = RET_VOID,
	.arg_type = {ARG_PTR_TO_CTX, ARG_CONST_MAP_PTR, ARG_ANYTHING},
};

/* ---- time */

BPF_HELPER(ktime_get_ns)
{
	return clock_ns(CLOCK_MONOTONIC);
}

BPF_HELPER(ktime_get_boot_ns)
{
	return clock_ns(CLOCK_BOOTTIME);
}

BPF_HELPER(ktime_get_coarse_ns)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

BPF_HELPER(ktime_get_tai_ns)
{
	return clock_ns(CLOCK_TAI);
}

/* The kernel's tick is not known outside of it: ours is the 100 Hz that it shows to processes. */
BPF_HELPER(jiffies64)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE) / 10000000;
}

/* ---- numbers */

/* splitmix64 (Steele, Lea, Flood 2014), a stream a thread. */
BPF_HELPER(get_prandom_u32)
{
	static __thread u64 state;
	u64 z;

	if (unlikely(!state) && getrandom(&state, sizeof(state), GRND_NONBLOCK) != sizeof(state))
		state = clock_ns(CLOCK_MONOTONIC) ^ (uintptr_t)&state;
	z = state += 0x9e3779b97f4a7c15ULL;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (u32)((z ^ (z >> 31)) >> 16);
}

BPF_HELPER(get_smp_processor_id)
{
	return (u64)bpf_this.slot;
}

BPF_HELPER(get_numa_node_id)
{
	unsigned int cpu, node = 0;

	syscall(SYS_getcpu, &cpu, &node, NULL);
	return node;
}

/*
 * Parse a number at the start of `buf` (len bytes, not terminated) as Linux's strtol helpers do:
 * spaces, a minus, a base of 0, 8, 10 or 16. Returns the bytes used, -EINVAL without a digit,
 * -ERANGE past 64 bits.
 */
static s64 parse_number(const char *buf, size_t len, u64 flags, u64 *value, bool *negative)
{
	u64 base = flags & 0x1f, limit_mul, digit;
	size_t i = 0, first;
	bool hex;

	if (!buf || !len || (flags & ~0x1fULL) ||
	    (base != 0 && base != 8 && base != 10 && base != 16))
		return -EINVAL;
	while (i < len && isspace((unsigned char)buf[i]))
		i++;
	*negative = i < len && buf[i] == '-';
	if (*negative)
		i++;
	if (i >= len)
		return -EINVAL;
	hex = i + 1 < len && buf[i] == '0' && (buf[i + 1] | 32) == 'x';
	if (base == 0 && hex && i + 2 < len && isxdigit((unsigned char)buf[i + 2]))
		base = 16;
	else if (base == 0)
		base = buf[i] == '0' ? 8 : 10;
	if (base == 16 && hex)
		i += 2;
	limit_mul = UINT64_MAX / base;
	*value = 0;
	for (first = i; i < len; i++) {
		unsigned char c = (unsigned char)buf[i];

		digit = isdigit(c) ? c - '0' : isalpha(c) ? (c | 32) - 'a' + 10 : 99u;
		if (digit >= base)
			break;
		if (*value > limit_mul || *value * base > UINT64_MAX - digit)
			return -ERANGE;
		*value = *value * base + digit;
	}
	return i == first ? -EINVAL : (s64)i;
}

BPF_HELPER(strtol)
{
	s64 *out = PTR(r4);
	bool negative;
	u64 value;
	s64 used = parse_number(PTR(r1), r2, r3, &value, &negative);

	*out = 0;
	if (used < 0)
		return (u64)used;
	if (value > (u64)INT64_MAX + negative)
		return (u64)-ERANGE;
	*out = (s64)(negative ? -value : value);
	return (u64)used;
}

BPF_HELPER(strtoul)
{
	u64 *out = PTR(r4);
	bool negative;
	u64 value;
	s64 used = parse_number(PTR(r1), r2, r3, &value, &negative);

	*out = 0;
	if (used < 0)
		return (u64)used;
	if (negative)
		return (u64)-EINVAL;
	*out = value;
	return (u64)used;
}

/* The second string is a constant, which the verifier has seen the end of. */
BPF_HELPER(strncmp)
{
	const u8 *a = PTR(r1), *b = PTR(r3);

	for (u32 i = 0; i < (u32)r2; i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? (u64)-1 : 1;
		if (!a[i])
			break;
	}
	return 0;
}

static const struct bpf_func_proto strncmp_proto = {
	.name = "bpf_strncmp",
	.id = BPF_FUNC_strncmp,
	.func = bpf_strncmp,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE, ARG_PTR_TO_CONST_STR},
};

/* ---- the list */

#define PLAIN_PROTO(fn)                                   \
	static const struct bpf_func_proto fn##_proto = { \
		.name = "bpf_" #fn,                       \
		.id = BPF_FUNC_##fn,                      \
		.func = bpf_##fn,                         \
		.ret_type = RET_INTEGER,                  \
	}

PLAIN_PROTO(ktime_get_ns);
PLAIN_PROTO(ktime_get_boot_ns);
PLAIN_PROTO(ktime_get_coarse_ns);
PLAIN_PROTO(ktime_get_tai_ns);
PLAIN_PROTO(jiffies64);
PLAIN_PROTO(get_prandom_u32);
PLAIN_PROTO(get_smp_processor_id);
PLAIN_PROTO(get_numa_node_id);

#define STRTO_PROTO(fn)                                                                 \
	static const struct bpf_func_proto fn##_proto = {                               \
		.name = "bpf_" #fn,                                                     \
		.id = BPF_FUNC_##fn,                                                    \
		.func = bpf_##fn,                                                       \
		.ret_type = RET_INTEGER,                                                \
		.arg_type = {ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE, ARG_ANYTHING, \
			     ARG_PTR_TO_LONG},                                          \
		.arg_size = {0, 0, 0, 8},                                               \
	}

STRTO_PROTO(strtol);
STRTO_PROTO(strtoul);

static const struct bpf_func_proto *const base_protos[] = {
	&bpf_map_lookup_elem_proto,
	&bpf_map_update_elem_proto,
	&bpf_map_delete_elem_proto,
	&map_lookup_percpu_elem_proto,
	&bpf_map_push_elem_proto,
	&bpf_map_pop_elem_proto,
	&bpf_map_peek_elem_proto,
	&bpf_spin_lock_proto,
	&bpf_spin_unlock_proto,
	&bpf_ringbuf_output_proto,
	&bpf_ringbuf_reserve_proto,
	&bpf_ringbuf_submit_proto,
	&bpf_ringbuf_discard_proto,
	&bpf_ringbuf_query_proto,
	&bpf_dynptr_from_mem_proto,
	&bpf_dynptr_read_proto,
	&bpf_dynptr_write_proto,
	&bpf_dynptr_data_proto,
	&bpf_ringbuf_reserve_dynptr_proto,
	&bpf_ringbuf_submit_dynptr_proto,
	&bpf_ringbuf_discard_dynptr_proto,
	&bpf_tail_call_proto,
	&bpf_loop_proto,
	&bpf_for_each_map_elem_proto,
	&bpf_trace_printk_proto,
	&ktime_get_ns_proto,
	&ktime_get_boot_ns_proto,
	&ktime_get_coarse_ns_proto,
	&ktime_get_tai_ns_proto,
	&jiffies64_proto,
	&get_prandom_u32_proto,
	&get_smp_processor_id_proto,
	&get_numa_node_id_proto,
	&strtol_proto,
	&strtoul_proto,
	&strncmp_proto,
	&bpf_trace_vprintk_proto,
	&bpf_snprintf_proto,
};

/* What Linux 6.18 gives to the networking types beside these. */
static const u8 base_missing[] = {
	BPF_FUNC_get_current_pid_tgid,
	BPF_FUNC_get_current_uid_gid,
	BPF_FUNC_get_current_comm,
	BPF_FUNC_get_cgroup_classid,
	BPF_FUNC_perf_event_read,
	BPF_FUNC_get_current_task,
	BPF_FUNC_current_task_under_cgroup,
	BPF_FUNC_perf_event_read_value,
	BPF_FUNC_get_current_cgroup_id,
	BPF_FUNC_send_signal,
	BPF_FUNC_probe_read_user,
	BPF_FUNC_probe_read_kernel,
	BPF_FUNC_probe_read_user_str,
	BPF_FUNC_probe_read_kernel_str,
	BPF_FUNC_send_signal_thread,
	BPF_FUNC_get_ns_current_pid_tgid,
	BPF_FUNC_get_current_ancestor_cgroup_id,
	BPF_FUNC_skc_to_tcp6_sock,
	BPF_FUNC_skc_to_tcp_sock,
	BPF_FUNC_skc_to_tcp_timewait_sock,
	BPF_FUNC_skc_to_tcp_request_sock,
	BPF_FUNC_skc_to_udp6_sock,
	BPF_FUNC_get_task_stack,
	BPF_FUNC_copy_from_user,
	BPF_FUNC_snprintf_btf,
	BPF_FUNC_per_cpu_ptr,
	BPF_FUNC_this_cpu_ptr,
	BPF_FUNC_task_storage_get,
	BPF_FUNC_task_storage_delete,
	BPF_FUNC_get_current_task_btf,
	BPF_FUNC_timer_init,
	BPF_FUNC_timer_set_callback,
	BPF_FUNC_timer_start,
	BPF_FUNC_timer_cancel,
	BPF_FUNC_task_pt_regs,
	BPF_FUNC_get_branch_snapshot,
	BPF_FUNC_skc_to_unix_sock,
	BPF_FUNC_find_vma,
	BPF_FUNC_copy_from_user_task,
	BPF_FUNC_kptr_xchg,
	BPF_FUNC_skc_to_mptcp_sock,
	BPF_FUNC_user_ringbuf_drain,
	BPF_FUNC_cgrp_storage_get,
	BPF_FUNC_cgrp_storage_delete,
};

const struct bpf_func_proto *bpf_base_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	return bpf_func_find(id, base_protos, ARRAY_SIZE(base_protos), base_missing,
			     ARRAY_SIZE(base_missing));
}

const struct bpf_func_proto *bpf_type_func_proto(enum bpf_func_id id, const struct bpf_prog *prog,
						 const struct bpf_func_proto *const *have,
						 size_t have_cnt, const u8 *missing,
						 size_t missing_cnt)
{
	const struct bpf_func_proto *proto =
		bpf_func_find(id, have, have_cnt, missing, missing_cnt);

	return proto ? proto : bpf_base_func_proto(id, prog);
}
