/*
 * btf_info.c - what a caller says about its program or map beside the types
 *
 * An object's own tables are made by the reader, which keeps these rules; a caller of bpf(2) may
 * pass anything. Messages are the kernel's (check_btf_func(), check_btf_line()).
 */
#include <bpf/btf.h>
#include "btf/btf_field.h"
#include "core/btf_info.h"
#include "insn/insn.h"
#include "util/log.h"

#include <string.h>

/* Where functions begin, and how many. Targets outside are the verifier's to refuse. */
static u32 find_starts(const struct bpf_insn *insns, u32 cnt, u8 *starts)
{
	u32 n = 1;

	starts[0] = 1;
	for (u32 i = 0; i < cnt; i++) {
		s64 target = (s64)i + insns[i].imm + 1;

		if (!bpf_insn_is_pseudo_call(&insns[i]) && !bpf_insn_is_pseudo_func(&insns[i]))
			continue;
		if (target < 0 || target >= cnt || starts[target])
			continue;
		starts[target] = 1;
		n++;
	}
	return n;
}

static int check_func_offset(const struct bpf_func_info *funcs, u32 i, u32 insn_cnt,
			     struct bpf_log *log)
{
	u32 off = funcs[i].insn_off;

	if (!i && off)
		bpf_log_printf(log, "nonzero insn_off %u for the first func info record\n", off);
	else if (i && off <= funcs[i - 1].insn_off)
		bpf_log_printf(log,
			       "same or smaller insn offset (%u) than previous func info record "
			       "(%u)\n",
			       off, funcs[i - 1].insn_off);
	else if (off < insn_cnt)
		return 0;
	return -EINVAL;
}

static int check_funcs(const struct bpf_btf *btf, const u8 *starts, u32 start_cnt, u32 insn_cnt,
		       const struct bpf_func_info *funcs, u32 cnt, struct bpf_log *log)
{
	const struct btf_type *type, *proto;
	u32 i;

	for (i = 0; i < cnt; i++) {
		if (check_func_offset(funcs, i, insn_cnt, log))
			return -EINVAL;
		type = btf__type_by_id(btf->btf, funcs[i].type_id);
		proto = type && btf_is_func(type) ? btf__type_by_id(btf->btf, type->type) : NULL;
		if (!proto || !btf_is_func_proto(proto)) {
			bpf_log_printf(log, "invalid type id %u in func info\n", funcs[i].type_id);
			return -EINVAL;
		}
	}
	if (cnt && cnt != start_cnt) {
		bpf_log_printf(log, "number of funcs in func_info doesn't match number of "
				    "subprogs\n");
		return -EINVAL;
	}
	for (i = 0; i < cnt; i++)
		if (!starts[funcs[i].insn_off]) {
			bpf_log_printf(log, "func_info BTF section doesn't match subprog layout "
					    "in BPF program\n");
			return -EINVAL;
		}
	return 0;
}

static int check_lines(const struct bpf_btf *btf, const struct bpf_insn *insns, u32 insn_cnt,
		       const u8 *starts, u32 start_cnt, const struct bpf_line_info *lines, u32 cnt,
		       struct bpf_log *log)
{
	u32 found = 0;

	for (u32 i = 0; i < cnt; i++) {
		u32 off = lines[i].insn_off;

		if ((i && off <= lines[i - 1].insn_off) || off >= insn_cnt) {
			bpf_log_printf(log,
				       "Invalid line_info[%u].insn_off:%u (prev_offset:%u "
				       "prog->len:%u)\n",
				       i, off, i ? lines[i - 1].insn_off : 0, insn_cnt);
			return -EINVAL;
		}
		if (!insns[off].code) {
			bpf_log_printf(log, "Invalid insn code at line_info[%u].insn_off\n", i);
			return -EINVAL;
		}
		if (!btf__str_by_offset(btf->btf, lines[i].line_off) ||
		    !btf__str_by_offset(btf->btf, lines[i].file_name_off)) {
			bpf_log_printf(log, "Invalid line_info[%u].line_off or .file_name_off\n",
				       i);
			return -EINVAL;
		}
		found += starts[off];
	}
	if (cnt && found != start_cnt) {
		bpf_log_printf(log, "missing bpf_line_info for func#%u\n", found);
		return -EINVAL;
	}
	return 0;
}

int bpf_btf_check_info(const struct bpf_btf *btf, const struct bpf_insn *insns, u32 insn_cnt,
		       const struct bpf_func_info *funcs, u32 func_cnt,
		       const struct bpf_line_info *lines, u32 line_cnt, struct bpf_log *log)
{
	__do_free u8 *starts = NULL;
	u32 start_cnt;
	int err;

	if (!func_cnt && !line_cnt)
		return 0;
	starts = calloc(insn_cnt, 1);
	if (!starts)
		return -ENOMEM;
	start_cnt = find_starts(insns, insn_cnt, starts);
	err = check_funcs(btf, starts, start_cnt, insn_cnt, funcs, func_cnt, log);
	if (!err)
		err = check_lines(btf, insns, insn_cnt, starts, start_cnt, lines, line_cnt, log);
	return err;
}

/* ---- maps */

static bool has_size(const struct bpf_btf *btf, u32 id, u32 size)
{
	return btf__type_by_id(btf->btf, id) && btf__resolve_size(btf->btf, id) == size;
}

static bool is_int(const struct bpf_btf *btf, u32 id)
{
	int real = btf__resolve_type(btf->btf, id);
	const struct btf_type *type = real > 0 ? btf__type_by_id(btf->btf, real) : NULL;

	return type && btf_is_int(type);
}

/* Global data is an array of one, whose key says nothing. */
static bool is_section(const struct bpf_btf *btf, const struct bpf_map_spec *spec)
{
	const struct btf_type *value = btf__type_by_id(btf->btf, spec->btf_value_type_id);

	return spec->map_type == BPF_MAP_TYPE_ARRAY && spec->max_entries == 1 &&
	       btf_is_datasec(value);
}

int bpf_btf_check_map(const struct bpf_btf *btf, struct bpf_map_spec *spec)
{
	bool array = spec->map_type == BPF_MAP_TYPE_ARRAY ||
		     spec->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
	int off;

	if (!spec->btf_value_type_id)
		return spec->btf_key_type_id ? -EINVAL : 0;
	if (!has_size(btf, spec->btf_value_type_id, spec->value_size))
		return -EINVAL;
	if (!spec->btf_key_type_id) {
		if (!is_section(btf, spec))
			return -EINVAL;
	} else if (!has_size(btf, spec->btf_key_type_id, spec->key_size) ||
		   (array && !is_int(btf, spec->btf_key_type_id))) {
		return -EINVAL;
	}
	off = bpf_btf_find_spin_lock(btf, spec->btf_value_type_id, spec->value_size);
	if (off >= 0)
		spec->spin_lock_end = (u32)off + sizeof(struct bpf_spin_lock);
	return off >= 0 || off == -ENOENT ? 0 : off;
}

static const struct bpf_line_info *find_linfo(const struct bpf_prog *prog, u32 idx)
{
	u32 lo = 0, hi = prog->line_info_cnt;

	/* The last entry whose insn_off is not above idx. */
	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (prog->line_info[mid].insn_off <= idx)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &prog->line_info[lo - 1] : NULL;
}

bool bpf_btf_next_line(const struct bpf_prog *prog, u32 insn, const struct bpf_line_info **last,
		       struct bpf_line *line)
{
	const struct bpf_line_info *linfo, *prev = *last;
	const char *slash;

	if (!prog->btf)
		return false;
	linfo = find_linfo(prog, insn);
	if (!linfo || linfo == prev)
		return false;
	line->number = BPF_LINE_INFO_LINE_NUM(linfo->line_col);
	if (prev && linfo->file_name_off == prev->file_name_off &&
	    linfo->line_off == prev->line_off &&
	    line->number == BPF_LINE_INFO_LINE_NUM(prev->line_col))
		return false;
	line->text = bpf_btf_str(prog->btf, linfo->line_off);
	line->text += strspn(line->text, " \t");
	line->file = bpf_btf_str(prog->btf, linfo->file_name_off);
	slash = strrchr(line->file, '/');
	if (slash)
		line->file = slash + 1;
	*last = linfo;
	return true;
}
