/*
 * btf_ext.c - .BTF.ext: the type of each function, the source line of each instruction, CO-RE
 * records
 *
 * The section is tables of blocks, one a code section, with records whose first word is a byte
 * offset in that section. A program is put together from functions of several sections, so the
 * records of each function are copied with their offset changed to the function's place in the
 * program. Records are in rising order; that is checked, for the binary search and for the users of
 * the result.
 */
#include <bpf/btf.h>
#include "object/elf/btf_ext.h"

#define BTF_EXT_MAX_REC 256

struct ext_header {
	u16 magic;
	u8 version, flags;
	u32 hdr_len;
	u32 func_off, func_len, line_off, line_len;
	u32 core_off, core_len; /* only when hdr_len says so */
};

struct ext_sub { /* one of the tables */
	const char *what;
	const u8 *data;
	u32 len, min_rec;
};

static u32 section_by_name(const struct obj_reader *r, const char *name)
{
	for (u32 i = 1; i < r->sec_cnt; i++)
		if ((r->secs[i].kind == SEC_CODE || r->secs[i].kind == SEC_TEXT) &&
		    !strcmp(r->secs[i].name, name))
			return i;
	return 0;
}

/* Records must rise, lie at instructions, and inside of their section. */
static int check_block(struct obj_reader *r, const struct ext_sub *sub, const struct ext_block *b)
{
	u64 size = r->secs[b->sec].size;
	s64 last = -1;

	for (u32 i = 0; i < b->cnt; i++) {
		u32 off = get_u32(b->recs + (size_t)i * b->rec_size);

		if (off % BPF_INSN_BYTES || off >= size || (s64)off <= last)
			return obj_fail(r, -EINVAL,
					"BTF: %s record %u of section '%s' is out of "
					"order or out of range",
					sub->what, i, r->secs[b->sec].name);
		last = off;
	}
	return 0;
}

/* clang writes one block a section. */
static int add_block(struct obj_reader *r, const struct ext_sub *sub, struct ext_block **table,
		     const struct ext_block *block)
{
	if (!*table)
		*table = calloc(r->sec_cnt, sizeof(**table));
	if (!*table)
		return -ENOMEM;
	if ((*table)[block->sec].cnt)
		return obj_fail(r, -EINVAL, "BTF: two blocks of %s for section '%s'", sub->what,
				r->secs[block->sec].name);
	(*table)[block->sec] = *block;
	return 0;
}

static int read_table(struct obj_reader *r, const struct ext_sub *sub, struct ext_block **table)
{
	u32 off = sizeof(u32), rec_size, seen = 0;

	if (!sub->len)
		return 0;
	if (sub->len < sizeof(u32))
		return obj_fail(r, -EINVAL, "BTF: the %s table is truncated", sub->what);
	rec_size = get_u32(sub->data);
	if (rec_size < sub->min_rec || rec_size > BTF_EXT_MAX_REC || rec_size % 4)
		return obj_fail(r, -EINVAL, "BTF: %s records of %u bytes", sub->what, rec_size);
	while (off < sub->len) {
		struct ext_block b = {.rec_size = rec_size};
		const char *name;
		int err;

		if (sub->len - off < 8 || seen++ >= r->sec_cnt)
			return obj_fail(r, -EINVAL, "BTF: the %s table is truncated", sub->what);
		name = bpf_btf_str(r->out->btf, get_u32(sub->data + off));
		b.cnt = get_u32(sub->data + off + 4);
		b.recs = sub->data + off + 8;
		if (!b.cnt || (u64)b.cnt * rec_size > sub->len - off - 8)
			return obj_fail(r, -EINVAL, "BTF: the %s table is truncated", sub->what);
		off += 8 + b.cnt * rec_size;
		b.sec = section_by_name(r, name);
		if (!b.sec)
			continue;
		err = check_block(r, sub, &b);
		if (!err)
			err = add_block(r, sub, table, &b);
		if (err)
			return err;
	}
	return 0;
}

static int find_table(struct obj_reader *r, const struct elf_sec *sec, u32 hdr_len, u32 off,
		      struct ext_sub *sub)
{
	if (!sub->len)
		return 0;
	if ((u64)hdr_len + off + sub->len > sec->size)
		return obj_fail(r, -EINVAL, "BTF: the %s table reaches beyond .BTF.ext", sub->what);
	sub->data = sec->data + hdr_len + off;
	return 0;
}

int obj_read_btf_ext(struct obj_reader *r)
{
	const struct elf_sec *sec = &r->secs[r->btf_ext_sec];
	const u32 min_len = offsetof(struct ext_header, core_off);
	struct ext_sub func = {.what = "func_info", .min_rec = sizeof(struct bpf_func_info)};
	struct ext_sub line = {.what = "line_info", .min_rec = sizeof(struct bpf_line_info)};
	struct ext_sub core = {.what = "CO-RE", .min_rec = 16};
	struct ext_header h = {0};
	int err;

	if (!r->btf_ext_sec)
		return 0;
	if (!r->out->btf)
		return obj_fail(r, -EINVAL, "BTF: there is .BTF.ext, but no .BTF");
	if (sec->size < min_len)
		return obj_fail(r, -EINVAL, "BTF: .BTF.ext is truncated");
	memcpy(&h, sec->data, min_len);
	if (h.magic != BTF_MAGIC || h.version != BTF_VERSION || h.flags || h.hdr_len < min_len ||
	    h.hdr_len > sec->size)
		return obj_fail(r, -EINVAL, "BTF: the header of .BTF.ext is malformed");
	if (h.hdr_len >= sizeof(h))
		memcpy(&h, sec->data, sizeof(h));
	func.len = h.func_len;
	line.len = h.line_len;
	core.len = h.core_len;
	err = find_table(r, sec, h.hdr_len, h.func_off, &func);
	if (!err)
		err = find_table(r, sec, h.hdr_len, h.line_off, &line);
	if (!err)
		err = find_table(r, sec, h.hdr_len, h.core_off, &core);
	if (!err)
		err = read_table(r, &core, &r->core);
	if (!err)
		err = read_table(r, &func, &r->func_info);
	return err ? err : read_table(r, &line, &r->line_info);
}

/* ---- the records of one function */

/* First record of a block at or after the byte `off`. */
static u32 first_record(const struct ext_block *b, u64 off)
{
	u32 lo = 0, hi = b->cnt;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (get_u32(b->recs + (size_t)mid * b->rec_size) < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

u32 obj_ext_records(const struct ext_block *table, const struct elf_func *func, const u8 **recs)
{
	const struct ext_block *b = table ? &table[func->sec] : NULL;
	u32 first;

	if (!b || !b->cnt)
		return 0;
	first = first_record(b, (u64)func->start * BPF_INSN_BYTES);
	*recs = b->recs + (size_t)first * b->rec_size;
	return first_record(b, ((u64)func->start + func->cnt) * BPF_INSN_BYTES) - first;
}

int obj_add_func_info(struct obj_reader *r, struct bpf_object_prog *prog,
		      const struct elf_func *func, u32 base)
{
	const u8 *recs = NULL;
	struct bpf_func_info info, *p;
	const struct btf_type *t;

	if (!obj_ext_records(r->func_info, func, &recs))
		return 0;
	memcpy(&info, recs, sizeof(info));
	t = btf__type_by_id(r->out->btf->btf, info.type_id);
	if (info.insn_off != func->start * BPF_INSN_BYTES || !t || !btf_is_func(t))
		return obj_fail(
			r, -EINVAL,
			"BTF: func_info of '%s' is not for its first instruction, or names no "
			"function",
			r->syms[func->sym].name);
	p = realloc(prog->func_info, (prog->func_info_cnt + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	prog->func_info = p;
	info.insn_off = base;
	p[prog->func_info_cnt++] = info;
	return 0;
}

int obj_add_line_info(struct obj_reader *r, struct bpf_object_prog *prog,
		      const struct elf_func *func, u32 base)
{
	const u8 *recs = NULL;
	u32 cnt = obj_ext_records(r->line_info, func, &recs);
	struct bpf_line_info *p;

	if (!cnt)
		return 0;
	p = realloc(prog->line_info, ((size_t)prog->line_info_cnt + cnt) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	prog->line_info = p;
	p += prog->line_info_cnt;
	for (u32 i = 0; i < cnt; i++) {
		memcpy(&p[i], recs + (size_t)i * r->line_info[func->sec].rec_size, sizeof(*p));
		p[i].insn_off = p[i].insn_off / BPF_INSN_BYTES - func->start + base;
	}
	prog->line_info_cnt += cnt;
	return 0;
}
