/*
 * funcinfo.c - see funcinfo.h
 */
#include <bpf/btf.h>
#include <stdio.h>
#include "tests/lib/funcinfo.h"

static bool names_func(const struct bpf_insn *insn)
{
	return bpf_insn_is_pseudo_call(insn) || bpf_insn_is_pseudo_func(insn);
}

/* false: not a program that has callbacks, or too many functions. */
static bool find_starts(const struct bpf_prog_load_attr *attr, u8 *is_start)
{
	bool callbacks = false;
	u32 cnt = 1;

	is_start[0] = 1;
	for (u32 i = 0; i < attr->insn_cnt; i++) {
		s64 to = (s64)i + 1 + attr->insns[i].imm;

		if (!names_func(&attr->insns[i]) || to < 0 || to >= attr->insn_cnt)
			continue;
		callbacks |= bpf_insn_is_pseudo_func(&attr->insns[i]);
		cnt += !is_start[to];
		is_start[to] = 1;
	}
	return callbacks && cnt <= FUNCINFO_MAX;
}

void funcinfo_add(struct funcinfo *f, struct bpf_prog_load_attr *attr, u32 linkage)
{
	__do_free u8 *is_start = calloc(attr->insn_cnt + 1, 1);
	struct btf *btf;
	int proto, id;
	const void *raw;
	u32 size;

	memset(f, 0, sizeof(*f));
	if (!is_start)
		abort();
	if (!attr->insn_cnt || !find_starts(attr, is_start))
		return;
	btf = btf__new_empty();
	proto = btf__add_func_proto(btf, btf__add_int(btf, "int", 4, BTF_INT_SIGNED));
	for (u32 i = 0; i < attr->insn_cnt; i++) {
		char name[16];

		if (!is_start[i])
			continue;
		snprintf(name, sizeof(name), "func_%u", i);
		id = btf__add_func(btf, name, i ? linkage : BTF_FUNC_GLOBAL, proto);
		if (id < 0)
			abort();
		f->info[f->cnt++] = (struct bpf_func_info){.insn_off = i, .type_id = (u32)id};
	}
	raw = btf__raw_data(btf, &size);
	if (!raw || bpf_btf_new(raw, size, &f->btf))
		abort();
	btf__free(btf);
	attr->btf = f->btf;
	attr->func_info = f->info;
	attr->func_info_cnt = f->cnt;
}

void funcinfo_free(struct funcinfo *f)
{
	bpf_btf_put(f->btf);
	f->btf = NULL;
}
