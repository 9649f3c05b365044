/*
 * prog.c - the life of a program: made, counted, found by id, freed
 *
 * A program is private to its loader until bpf_prog_publish() gives it an id; ids rise and never
 * repeat in one process (a store that hands in its own ids keeps that over restarts). The last put
 * takes it out of the table, tells on_free, drops its maps (each of which outlives a grace period
 * of its own, so a run that has begun is safe) and frees the rest after a grace period.
 */
#include <linux/filter.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "btf/btf.h"
#include "rcu/ids.h"
#include "core/prog.h"
#include "util/sha256.h"

static struct bpf_ids ids = BPF_IDS_INIT;
static u64 live;

/* ---- by id */

int bpf_prog_publish(struct bpf_prog *prog)
{
	int err = bpf_ids_add(&ids, &prog->id, prog);

	prog->published = !err;
	return err;
}

static bool inc_not_zero(void *prog)
{
	return bpf_prog_inc_not_zero(prog);
}

struct bpf_prog *bpf_prog_get_by_id(u32 id)
{
	return bpf_ids_get(&ids, id, inc_not_zero);
}

/* ---- making */

static void *copy_array(const void *from, size_t count, size_t size)
{
	void *to = malloc(max(count * size, (size_t)1));

	if (to && count)
		memcpy(to, from, count * size);
	return to;
}

static bool license_is_gpl_compatible(const char *license)
{
	static const char *const compatible[] = {
		"GPL",		"GPL v2",	"GPL and additional rights",
		"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL",
	};

	for (size_t i = 0; i < ARRAY_SIZE(compatible); i++)
		if (!strcmp(license, compatible[i]))
			return true;
	return false;
}

static u64 now_realtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

/*
 * The tag names what a program does: the instructions as bpf(2) is given them, with map references
 * by descriptor (whose numbers mean nothing and are left out). Linux 6.18 hashes with SHA-256,
 * before that with SHA-1.
 */
static void prog_calc_tag(struct bpf_prog *prog)
{
	u8 digest[SHA256_SIZE];
	bool reference = false; /* to a map, in the half before */
	struct sha256 sha;

	sha256_begin(&sha);
	for (u32 i = 0; i < prog->orig_len; i++) {
		struct bpf_insn insn = prog->orig_insns[i];

		if (reference) {
			insn.imm = 0;
			reference = false;
		} else if (bpf_insn_is_imm64(&insn)) {
			if (insn.src_reg == BPF_PSEUDO_MAP_IDX)
				insn.src_reg = BPF_PSEUDO_MAP_FD;
			else if (insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE)
				insn.src_reg = BPF_PSEUDO_MAP_VALUE;
			reference = insn.src_reg == BPF_PSEUDO_MAP_FD ||
				    insn.src_reg == BPF_PSEUDO_MAP_VALUE;
			if (reference)
				insn.imm = 0;
		}
		sha256_add(&sha, &insn, sizeof(insn));
	}
	sha256_end(&sha, digest);
	memcpy(prog->tag, digest, sizeof(prog->tag));
}

static int prog_copy_maps(struct bpf_prog *prog, const struct bpf_prog_load_attr *attr)
{
	if (attr->map_cnt > BPF_MAX_USED_MAPS)
		return -E2BIG;
	prog->used_maps = calloc(BPF_MAX_USED_MAPS, sizeof(*attr->maps));
	if (!prog->used_maps)
		return -ENOMEM;
	for (u32 i = 0; i < attr->map_cnt; i++) {
		prog->used_maps[i] = attr->maps[i];
		bpf_map_inc_internal(attr->maps[i]);
	}
	prog->used_map_cnt = attr->map_cnt;
	if (attr->maps_rdonly) {
		prog->used_maps_rdonly = calloc(BPF_MAX_USED_MAPS, sizeof(bool));
		if (!prog->used_maps_rdonly)
			return -ENOMEM;
		for (u32 i = 0; i < attr->map_cnt; i++)
			prog->used_maps_rdonly[i] = attr->maps_rdonly[i];
	}
	return 0;
}

int bpf_prog_bind_map(struct bpf_prog *prog, struct bpf_map *map)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	u32 i, cnt;

	pthread_mutex_lock(&lock);
	cnt = prog->used_map_cnt;
	for (i = 0; i < cnt && prog->used_maps[i] != map; i++)
		;
	if (i == cnt && cnt < BPF_MAX_USED_MAPS) {
		prog->used_maps[cnt] = map;
		bpf_map_inc_internal(map);
		__atomic_store_n(&prog->used_map_cnt, cnt + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return i == BPF_MAX_USED_MAPS ? -E2BIG : 0;
}

static int prog_copy(struct bpf_prog *prog, const struct bpf_prog_load_attr *attr)
{
	const char *license = attr->license ? attr->license : "";

	prog->type = attr->prog_type;
	prog->expected_attach_type = attr->expected_attach_type;
	prog->id = attr->id;
	prog->prog_flags = attr->prog_flags;
	prog->unverified = attr->unverified;
	snprintf(prog->name, sizeof(prog->name), "%s", attr->name ? attr->name : "");
	snprintf(prog->license, sizeof(prog->license), "%s", license);
	prog->gpl_compatible = license_is_gpl_compatible(license);
	prog->load_time = now_realtime();
	prog->refcnt = 1;

	prog->orig_len = attr->insn_cnt;
	if (attr->taken) {
		prog->orig_insns = (struct bpf_insn *)attr->insns;
		*attr->taken = true;
	} else {
		prog->orig_insns = copy_array(attr->insns, attr->insn_cnt, sizeof(*attr->insns));
	}
	prog->func_info_cnt = attr->func_info_cnt;
	prog->func_info =
		copy_array(attr->func_info, attr->func_info_cnt, sizeof(*attr->func_info));
	prog->line_info_cnt = attr->line_info_cnt;
	prog->line_info =
		copy_array(attr->line_info, attr->line_info_cnt, sizeof(*attr->line_info));
	prog->classic_len = attr->classic_len;
	prog->classic = copy_array(attr->classic, attr->classic_len, sizeof(*attr->classic));
	if (!prog->orig_insns || !prog->func_info || !prog->line_info || !prog->classic)
		return -ENOMEM;
	prog->host_funcs = attr->host_funcs;
	bpf_host_funcs_use(prog->host_funcs);
	prog->btf = attr->btf;
	bpf_btf_inc(prog->btf);
	prog_calc_tag(prog);
	return prog_copy_maps(prog, attr);
}

static void prog_free(struct bpf_prog *prog)
{
	if (prog->free_native)
		prog->free_native(prog);
	free(prog->interp);
	free(prog->insnsi);
	free(prog->orig_insns);
	free(prog->classic);
	free(prog->orig_idx);
	free(prog->used_maps);
	free(prog->used_maps_rdonly);
	free(prog->subprogs);
	free(prog->func_info);
	free(prog->line_info);
	bpf_btf_put(prog->btf);
	bpf_host_funcs_put(prog->host_funcs);
	free(prog);
	__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
}

struct bpf_prog *bpf_prog_alloc(const struct bpf_prog_load_attr *attr)
{
	struct bpf_prog *prog = calloc(1, sizeof(*prog));

	if (!prog)
		return NULL;
	__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
	if (prog_copy(prog, attr)) {
		prog_free(prog);
		return NULL;
	}
	return prog;
}

/* ---- counting */

void bpf_prog_inc(struct bpf_prog *prog)
{
	__atomic_add_fetch(&prog->refcnt, 1, __ATOMIC_RELAXED);
}

bool bpf_prog_inc_not_zero(struct bpf_prog *prog)
{
	int seen = __atomic_load_n(&prog->refcnt, __ATOMIC_RELAXED);

	while (seen > 0)
		if (__atomic_compare_exchange_n(&prog->refcnt, &seen, seen + 1, true,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static void prog_free_rcu(struct rcu_head *head)
{
	prog_free(container_of(head, struct bpf_prog, rcu));
}

void bpf_prog_put(struct bpf_prog *prog)
{
	if (!prog || __atomic_sub_fetch(&prog->refcnt, 1, __ATOMIC_ACQ_REL))
		return;
	if (prog->published)
		bpf_ids_remove(&ids, prog->id);
	if (prog->on_free)
		prog->on_free(prog, prog->priv);
	for (u32 i = 0; i < prog->used_map_cnt; i++)
		bpf_map_put_internal(prog->used_maps[i]);
	bpf_call_rcu(&prog->rcu, prog_free_rcu);
}

u64 bpf_prog_live_count(void)
{
	return __atomic_load_n(&live, __ATOMIC_RELAXED);
}
