/*
 * prog_parts.c - what a program is made of: maps, instructions, functions and lines, native code
 */
#include <fcntl.h>
#include "fs/ioctl/commands/prog_parts.h"
#include "fs/caller/strict.h"
#include "jit/jit.h"
#include "object/image.h"

/*
 * A rewritten instruction as others may see it: the addresses of maps and values become the maps'
 * ids, and those of functions the helpers' numbers.
 */
static u32 show_insn(const struct bpf_prog *prog, u32 i, struct bpf_insn out[2])
{
	const struct bpf_insn *from = NULL;
	u64 addr;

	out[0] = prog->insnsi[i];
	if (prog->orig_idx && prog->orig_idx[i] < prog->orig_len)
		from = &prog->orig_insns[prog->orig_idx[i]];
	if (out[0].code == (BPF_JMP | BPF_CALL) && !out[0].src_reg)
		out[0].imm = from && from->code == out[0].code && !from->src_reg ? from->imm : 0;
	if (!bpf_insn_is_imm64(&out[0]) || i + 1 >= prog->len)
		return 1;
	out[1] = prog->insnsi[i + 1];
	if (from && bpf_insn_is_imm64(from) && !from->src_reg)
		return 2; /* the program's own number */
	addr = bpf_insn_imm64(out);
	out[0].src_reg = 0;
	out[0].imm = out[1].imm = 0;
	for (u32 k = 0; k < bpf_prog_nr_maps(prog); k++) {
		const struct bpf_map *map = prog->used_maps[k];
		u64 values = (uintptr_t)map->values;
		bool value = values && addr >= values &&
			     addr - values < (u64)map->elem_size * map->max_entries;

		if (addr != (uintptr_t)map && !value)
			continue;
		out[0].src_reg = value ? BPF_PSEUDO_MAP_VALUE : BPF_PSEUDO_MAP_FD;
		out[0].imm = map->id;
		out[1].imm = value ? addr - values : 0;
		break;
	}
	return 2;
}

static void part_map_ids(struct control_call *call, const struct bpf_prog *prog)
{
	for (u32 i = 0; i < bpf_prog_nr_maps(prog); i++)
		control_answer(call, &prog->used_maps[i]->id, sizeof(u32));
}

static void part_xlated(struct control_call *call, const struct bpf_prog *prog)
{
	struct bpf_insn insn[2];
	u32 i, n;

	for (i = 0; i < prog->len && call->answered < call->room; i += n) {
		n = show_insn(prog, i, insn);
		control_answer(call, insn, n * sizeof(*insn));
	}
}

/* A record a function, or none at all: where it begins now, and the type that was said of it. */
static u32 func_cnt(const struct bpf_prog *prog)
{
	return prog->btf && prog->func_info_cnt == prog->subprog_cnt ? prog->func_info_cnt : 0;
}

static void part_func_info(struct control_call *call, const struct bpf_prog *prog)
{
	for (u32 i = 0; i < func_cnt(prog); i++) {
		struct bpf_func_info info = {.insn_off = prog->subprogs[i].start,
					     .type_id = prog->func_info[i].type_id};

		control_answer(call, &info, sizeof(info));
	}
}

/*
 * The lines that have instructions left, which are in the order in which they came; with `code`
 * (the native code) the address of each instead. call NULL: only count.
 */
static u32 part_line_info(struct control_call *call, const struct bpf_prog *prog, const char *code)
{
	u32 line = 0, n = 0, cnt = 0;
	const u32 *offsets = code ? bpf_jit_offsets(prog, &cnt) : NULL;

	for (u32 i = 0; prog->btf && i < prog->len && line < prog->line_info_cnt; i++) {
		struct bpf_line_info info;
		u32 orig = prog->orig_idx ? prog->orig_idx[i] : i;

		if (orig >= prog->orig_len || prog->line_info[line].insn_off > orig)
			continue;
		while (line + 1 < prog->line_info_cnt && prog->line_info[line + 1].insn_off <= orig)
			line++;
		info = prog->line_info[line++];
		info.insn_off = i;
		if (call && code) {
			u64 addr = (uintptr_t)code + (offsets && i < cnt ? offsets[i] : 0);

			control_answer(call, &addr, sizeof(addr));
		} else if (call) {
			control_answer(call, &info, sizeof(info));
		}
		n++;
	}
	return n;
}

/* ---- native code: it holds addresses of the server, and is the owner's to read */

static bool may_see_code(const struct control_call *call, const struct bpf_prog *prog)
{
	uid_t uid = call->req->cred.uid;
	struct stat st;

	return !uid || (!store_stat(call->control->obj, &st) && st.st_uid == uid &&
			strict_shows_code(prog, uid));
}

/* Where function i begins; that of the one after the last is the end. */
static u32 code_offset(const struct bpf_prog *prog, u32 i)
{
	u32 len, cnt;
	const u32 *offsets = bpf_jit_offsets(prog, &cnt);

	bpf_jit_code(prog, &len);
	if (!i || !offsets)
		return 0;
	return i >= prog->subprog_cnt || prog->subprogs[i].start >= cnt
		       ? len
		       : min(offsets[prog->subprogs[i].start], len);
}

static void part_code(struct control_call *call, const struct bpf_prog *prog, u32 part)
{
	u32 len = 0, i;
	const char *code = bpf_jit_code(prog, &len);

	if (!code)
		return;
	if (part == UBPFFS_PROG_JITED)
		control_answer(call, code, len);
	if (part == UBPFFS_PROG_JITED_LINES)
		part_line_info(call, prog, code);
	for (i = 0;
	     part != UBPFFS_PROG_JITED && part != UBPFFS_PROG_JITED_LINES && i < prog->subprog_cnt;
	     i++) {
		u64 addr = (uintptr_t)code + code_offset(prog, i);
		u32 size = code_offset(prog, i + 1) - code_offset(prog, i);

		if (part == UBPFFS_PROG_JITED_KSYMS)
			control_answer(call, &addr, sizeof(addr));
		else
			control_answer(call, &size, sizeof(size));
	}
}

void control_prog_counts(const struct control_call *call, const struct bpf_prog *prog,
			 struct bpf_prog_info *info)
{
	info->nr_func_info = func_cnt(prog);
	info->func_info_rec_size = sizeof(struct bpf_func_info);
	info->nr_line_info = part_line_info(NULL, prog, NULL);
	info->line_info_rec_size = sizeof(struct bpf_line_info);
	info->jited_line_info_rec_size = sizeof(u64);
	if (prog->jited_len && may_see_code(call, prog))
		info->nr_jited_ksyms = info->nr_jited_func_lens = prog->subprog_cnt;
}

/* All that another process needs to load it. */
static int part_image(struct control_call *call, const struct bpf_prog *prog)
{
	__do_free void *image = NULL;
	struct stat st;
	size_t size;
	int err = control_server_user(call);

	if (!err)
		err = store_stat(call->control->obj, &st);
	if (err)
		return err;
	if (st.st_uid != call->req->cred.uid)
		return fs_error(call->req, EACCES,
				"the program is of uid %u: run it by its file, not in a process of "
				"your own",
				st.st_uid);
	err = bpf_image_make(prog, &image, &size);
	if (err)
		return err;
	if (size > call->room)
		return fs_error(call->req, E2BIG, "the image has %zu bytes", size);
	control_answer(call, image, size);
	return 0;
}

int control_prog_part(struct control_call *call)
{
	u32 part = min(call->io.flags, (u64)UINT32_MAX);
	struct bpf_prog *prog;
	int err = control_prog(call, part == UBPFFS_PROG_MAP_IDS ? CONTROL_ANY : O_RDONLY, &prog);

	if (err)
		return err;
	switch (part) {
	case UBPFFS_PROG_MAP_IDS:
		part_map_ids(call, prog);
		return 0;
	case UBPFFS_PROG_XLATED:
		part_xlated(call, prog);
		return 0;
	case UBPFFS_PROG_FUNC_INFO:
		part_func_info(call, prog);
		return 0;
	case UBPFFS_PROG_LINE_INFO:
		part_line_info(call, prog, NULL);
		return 0;
	case UBPFFS_PROG_JITED:
	case UBPFFS_PROG_JITED_KSYMS:
	case UBPFFS_PROG_JITED_FUNC_LENS:
	case UBPFFS_PROG_JITED_LINES:
		if (!may_see_code(call, prog))
			return -EPERM;
		part_code(call, prog, part);
		return 0;
	case UBPFFS_PROG_IMAGE:
		return part_image(call, prog);
	}
	return -EINVAL;
}
