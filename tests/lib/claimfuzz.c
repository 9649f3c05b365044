/*
 * claimfuzz.c - see claimfuzz.h
 */
#include <bpf/btf.h>
#include <stdio.h>
#include <time.h>
#include "insn/disasm.h"
#include "run/run.h"
#include "tests/lib/claimfuzz.h"
#include "tests/lib/claims.h"
#include "tests/lib/funcinfo.h"
#include "tests/lib/progen.h"
#include "tests/lib/shadow.h"
#include "verifier/verifier.h"
#include "map/create.h"
#include "map/syscall.h"

#define RUNS	6
#define MAPS	(PROGEN_AIM_OUTER + PROGEN_AIM_OUTERS)
#define INNERS	24
#define MAX_OUT (PROGEN_PACKET + 32)

enum { ARRAY, HASH, LOCKED, RING };

static const struct bpf_map_spec specs[MAPS] = {
	[ARRAY] = {BPF_MAP_TYPE_ARRAY, 4, 64, PROGEN_ARRAY},
	[HASH] = {BPF_MAP_TYPE_HASH, 4, 8, PROGEN_HASH},
	[LOCKED] = {BPF_MAP_TYPE_ARRAY, 4, 64, PROGEN_ARRAY,
		    .spin_lock_end = PROGEN_LOCK + sizeof(struct bpf_spin_lock)},
	[RING] = {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096},
	[PROGEN_AIM_VALUE] = {BPF_MAP_TYPE_ARRAY, 4, 64, 1},
	[PROGEN_AIM_RODATA] = {BPF_MAP_TYPE_ARRAY, 4, 64, 1, .map_flags = BPF_F_RDONLY_PROG},
	[PROGEN_AIM_PERCPU] = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4},
	[PROGEN_AIM_OUTER] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, PROGEN_AIM_SLOTS},
	[PROGEN_AIM_OUTER + 1] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, PROGEN_AIM_SLOTS},
	[PROGEN_AIM_OUTER + 2] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, PROGEN_AIM_SLOTS},
	[PROGEN_AIM_OUTER + 3] = {BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, PROGEN_AIM_SLOTS},
};

static const struct bpf_map_spec templates[PROGEN_AIM_OUTERS] = {
	{BPF_MAP_TYPE_ARRAY, 4, 8, 4, .map_flags = 0},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, .map_flags = 0},
	{BPF_MAP_TYPE_HASH, 4, 8, 4, .map_flags = 0},
	{BPF_MAP_TYPE_ARRAY, 4, 8, 4, .map_flags = BPF_F_INNER_MAP},
};

static struct {
	struct bpf_map *maps[MAPS], *inners[INNERS], *templates[PROGEN_AIM_OUTERS];
	u32 inner_cnt;
	struct claims claims;
} all;

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "claimfuzz: %s: %s\n", what, strerror(-err));
	abort();
}

/* ---- maps: made once, filled for each program */

static void make_inner(enum bpf_map_type type, u32 flags, u32 value_size, u32 max_entries)
{
	const struct bpf_map_spec spec = {type, 4, value_size, max_entries, .map_flags = flags};
	struct bpf_map **map = &all.inners[all.inner_cnt++];

	must(bpf_map_create(&spec, 0, -1, -1, map), "an inner map");
}

/* Every slot with another map, of all that the outer one takes: the smallest ones first. */
static void fill_outer(struct bpf_map *outer)
{
	u32 slot = 0;

	for (u32 i = 0; i < all.inner_cnt && slot < PROGEN_AIM_SLOTS; i++)
		slot += !bpf_map_update_slot(outer, &slot, all.inners[i], BPF_ANY);
}

static void make_maps(void)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY,
						  BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH};

	if (all.maps[0])
		return;
	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		bool array = types[i] == BPF_MAP_TYPE_ARRAY;

		make_inner(types[i], 0, 16, 4);
		make_inner(types[i], 0, 8, 2);
		make_inner(types[i], 0, 8, 4);
		make_inner(types[i], 0, 8, 8);
		if (array)
			make_inner(types[i], BPF_F_INNER_MAP, 8, 2);
	}
	for (u32 i = 0; i < MAPS; i++) {
		struct bpf_map_spec spec = specs[i];
		u32 outer = i - PROGEN_AIM_OUTER;

		if (i >= PROGEN_AIM_OUTER) {
			must(bpf_map_create(&templates[outer], 0, -1, -1, &all.templates[outer]),
			     "a template");
			spec.inner_map_id = all.templates[outer]->id;
		}
		must(bpf_map_create(&spec, 0, -1, -1, &all.maps[i]), "a map");
		if (i >= PROGEN_AIM_OUTER)
			fill_outer(all.maps[i]);
	}
	claims_init(&all.claims);
}

/* Maps of 8-byte values: zeros, in hashes of keys that are there. */
static void zero_map(struct bpf_map *map)
{
	static const u8 zeros[16];

	bpf_run_enter();
	for (u32 key = 0; key < 8; key++) {
		void *value = map->ops->map_lookup_elem(map, &key);

		if (value)
			memcpy(value, zeros, map->value_size);
	}
	bpf_run_exit();
}

/* Whatever an earlier program did. */
static void reset_maps(u64 seed, u32 run)
{
	u64 value[8];

	for (u32 key = 0; key < PROGEN_ARRAY; key++) {
		progen_aim_inputs(seed, 100 * run + key, (u8 *)value, sizeof(value));
		bpf_map_update(all.maps[ARRAY], &key, value, BPF_ANY);
		bpf_map_update(all.maps[LOCKED], &key, value, BPF_ANY);
		((u32 *)(all.maps[LOCKED]->values +
			 (size_t)key * all.maps[LOCKED]->elem_size))[PROGEN_LOCK / 4] = 0;
	}
	for (u32 key = 0; key < 2 * PROGEN_HASH; key++) {
		bpf_map_delete(all.maps[HASH], &key);
		if (key < PROGEN_HASH && !(key % 2))
			bpf_map_update(all.maps[HASH], &key, value, BPF_ANY);
	}
	progen_aim_inputs(seed, 100 * run + 50, (u8 *)value, sizeof(value));
	bpf_map_update(all.maps[PROGEN_AIM_VALUE], &(u32){0}, value, BPF_ANY);
	zero_map(all.maps[PROGEN_AIM_PERCPU]);
	for (u32 i = 0; i < all.inner_cnt; i++)
		zero_map(all.inners[i]);
}

/* The verifier's claims name it: between two programs only. */
static void new_ring(void)
{
	bpf_map_put(all.maps[RING]);
	must(bpf_map_create(&specs[RING], 0, -1, -1, &all.maps[RING]), "a ring");
}

/* What a program reads of it is part of the verdict: the same for all. */
static void fill_rodata(void)
{
	static const u64 value[8] = {0,	    0x80, 0xffffffffffffff80, 0x7fffffff, 0xffff8000,
				     ~0ULL, 7,	  0x0123456789abcdef};

	bpf_map_update(all.maps[PROGEN_AIM_RODATA], &(u32){0}, value, BPF_ANY);
	bpf_map_freeze(all.maps[PROGEN_AIM_RODATA]);
}

/* ---- one program */

struct program {
	struct bpf_insn insns[PROGEN_MAX];
	u32 cnt, flags;
	u64 seed;
	bool ring;
};

enum result { FINE, REFUSED, TOO_LARGE, NOT_MODELLED, WRONG };

static enum result verify(const struct program *p, struct bpf_log *log, bool *zero_stack)
{
	struct bpf_prog_load_attr attr = {.insns = p->insns, .insn_cnt = p->cnt};
	struct bpf_verdict verdict;
	struct funcinfo f;
	int err;

	funcinfo_add(&f, &attr, BTF_FUNC_STATIC);
	const struct bpf_prog prog = {
		.type = BPF_PROG_TYPE_SCHED_CLS,
		.name = "claims",
		.license = "GPL",
		.gpl_compatible = true,
		.prog_flags = p->flags,
		.orig_insns = (struct bpf_insn *)p->insns,
		.orig_len = p->cnt,
		.used_maps = all.maps,
		.used_map_cnt = MAPS,
		.btf = attr.btf,
		.func_info = (struct bpf_func_info *)attr.func_info,
		.func_info_cnt = attr.func_info_cnt,
	};
	claims_begin(&all.claims);
	err = bpf_check(&prog, log, &all.claims.overflow, &verdict);
	claims_end(&all.claims);
	*zero_stack = verdict.zero_stack;
	bpf_verdict_free(&verdict);
	funcinfo_free(&f);
	if (all.claims.overflow)
		return TOO_LARGE;
	return err ? REFUSED : FINE;
}

static enum result run_once(const struct program *p, u32 run, bool zero_stack, struct shadow *s)
{
	static u8 packet[MAX_OUT];

	*s = (struct shadow){
		.insns = p->insns,
		.cnt = p->cnt,
		.maps = all.maps,
		.map_cnt = MAPS,
		.packet = packet,
		.packet_len = PROGEN_PACKET + run % 3 * 16,
		.claims = &all.claims,
		.zero_stack = zero_stack,
	};
	progen_aim_inputs(p->seed, run, packet, sizeof(packet));
	reset_maps(p->seed, run);
	switch (shadow_run(s)) {
	case 0:
		break;
	case -EFAULT:
		return WRONG;
	case -ELOOP:
		snprintf(s->fault, sizeof(s->fault), "it runs for ever");
		return WRONG;
	default:
		return NOT_MODELLED;
	}
	if (!s->uninit_stack || zero_stack)
		return FINE;
	snprintf(s->fault, sizeof(s->fault), "stack that nobody wrote or zeroed was read");
	return WRONG;
}

static enum result check(const struct program *p, struct claimfuzz *cf, struct shadow *s)
{
	bool zero_stack, ended = false;
	enum result res;

	if (p->ring)
		new_ring();
	res = verify(p, NULL, &zero_stack);
	if (res != FINE)
		return res;
	for (u32 run = 0; run < RUNS && res != WRONG; run++) {
		res = run_once(p, run, zero_stack, s);
		ended |= res == FINE;
		cf->runs++;
	}
	return res == WRONG ? WRONG : ended ? FINE : NOT_MODELLED;
}

/* ---- a smaller one that is wrong, too */

static bool is_jump(const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT;
}

static bool names_place(const struct bpf_insn *insn)
{
	return bpf_insn_is_pseudo_call(insn) || bpf_insn_is_pseudo_func(insn) ||
	       insn->code == (BPF_JMP32 | BPF_JA);
}

/*
 * Without [first, first + n): jumps into the gap go behind it. false: it would cut an instruction
 * in two.
 */
static bool cut(struct program *to, const struct program *from, u32 first, u32 n)
{
	u32 place[PROGEN_MAX + 1], cnt = 0;

	for (u32 i = 0; i < from->cnt; i++) {
		bool second = i && bpf_insn_is_imm64(&from->insns[i - 1]) && !from->insns[i].code;

		if (second && (i == first || i == first + n))
			return false;
		place[i] = cnt;
		cnt += i < first || i >= first + n;
	}
	place[from->cnt] = cnt;
	*to = *from;
	to->cnt = cnt;
	for (u32 i = 0; i < from->cnt; i++) {
		struct bpf_insn insn = from->insns[i];
		s64 off = names_place(&insn) ? insn.imm : insn.off, target = (s64)i + 1 + off;

		if (i >= first && i < first + n)
			continue;
		if ((is_jump(&insn) || names_place(&insn)) && target >= 0 && target <= from->cnt) {
			off = (s64)place[target] - place[i] - 1;
			if (names_place(&insn))
				insn.imm = (s32)off;
			else
				insn.off = (s16)off;
		}
		to->insns[place[i]] = insn;
	}
	return true;
}

static void shrink(struct program *p, struct claimfuzz *cf)
{
	static struct program less;
	struct shadow s;
	bool smaller = true;

	while (smaller) {
		smaller = false;
		for (u32 n = p->cnt / 2; n; n /= 2)
			for (u32 first = p->cnt; first-- > 0;) {
				if (first + n > p->cnt || !cut(&less, p, first, n) ||
				    check(&less, cf, &s) != WRONG)
					continue;
				*p = less;
				smaller = true;
			}
	}
}

static void print_program(const struct program *p)
{
	char text[160];

	for (u32 i = 0; i < p->cnt; i++) {
		bpf_disasm(&p->insns[i], NULL, text, sizeof(text));
		printf("%4u: %s\n", i, text);
		i += bpf_insn_is_imm64(&p->insns[i]) && i + 1 < p->cnt;
	}
}

static void print_log(const struct program *p)
{
	struct bpf_log log;
	bool zero_stack;

	bpf_log_init(&log, 2, 0);
	verify(p, &log, &zero_stack);
	printf("%s", bpf_log_text(&log));
	bpf_log_free(&log);
}

static void tell(struct program *p, struct claimfuzz *cf, u64 index, const struct shadow *seen)
{
	struct claimfuzz scratch = *cf;
	struct shadow s;

	printf("\nFINDING (-seed %llu -only %llu, flags %#x), as generated, instruction %u of %u: "
	       "%s\n",
	       (unsigned long long)cf->seed, (unsigned long long)index, p->flags, seen->fault_insn,
	       p->cnt, seen->fault);
	fflush(stdout);
	if (!cf->keep)
		shrink(p, &scratch);
	if (check(p, &scratch, &s) != WRONG)
		snprintf(s.fault, sizeof(s.fault), "it is not seen again");
	printf("%s, instruction %u: %s\n", cf->keep ? "Again" : "In short", s.fault_insn, s.fault);
	print_program(p);
	if (cf->only >= 0)
		print_log(p);
	fflush(stdout);
}

/* ---- all of them */

static void make_program(struct program *p, u64 seed, u64 index)
{
	static const enum progen_kind kinds[16] = {
		[6] = PROGEN_SAFE,
		[9] = PROGEN_RISKY,
		[12] = PROGEN_MIXED,
		[14] = PROGEN_MUTATED,
	};
	static struct progen gen;
	enum progen_kind kind = kinds[index % 16] || index % 16 == 6 ? kinds[index % 16]
								     : PROGEN_AIMED;

	p->seed = seed * 1000003 + index;
	progen_make(&gen, kind, p->seed);
	p->cnt = gen.cnt;
	memcpy(p->insns, gen.insns, gen.cnt * sizeof(*gen.insns));
	p->ring = kind == PROGEN_MIXED;
	p->flags = index / 16 % 2 ? BPF_F_TEST_STATE_FREQ : 0;
	if (kind == PROGEN_AIMED && index % 16 == 3)
		progen_mutate(p->insns, p->cnt, p->seed);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int claimfuzz(struct claimfuzz *cf)
{
	double end = now() + cf->seconds;
	static struct program p;
	struct shadow s;

	make_maps();
	fill_rodata();
	for (u64 i = cf->only < 0 ? 0 : (u64)cf->only; cf->only >= 0 || now() < end; i++) {
		make_program(&p, cf->seed, i);
		cf->programs++;
		switch (check(&p, cf, &s)) {
		case WRONG:
			cf->found_at = i;
			tell(&p, cf, i, &s);
			return 1;
		case REFUSED:
			if (cf->only >= 0)
				print_log(&p);
			break;
		case TOO_LARGE:
			cf->too_large++;
			break;
		case NOT_MODELLED:
			cf->accepted++;
			cf->not_modelled++;
			break;
		case FINE:
			cf->accepted++;
			cf->watched++;
		}
		if (cf->only >= 0)
			break;
	}
	return 0;
}
