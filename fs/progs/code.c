/*
 * code.c - xlated and jited: a program's code as it runs
 *
 * The rewritten instructions, each C line before those that come of it, and in jited behind each
 * the native code that it became: offset and bytes.
 */
#include "fs/progs/code.h"
#include "core/btf_info.h"
#include "fs/caller/strict.h"
#include "fs/store/node_object.h"
#include "insn/disasm.h"
#include "jit/jit.h"

#include <stdio.h>

#define COUNT_INSNS 4096
#define LINE_SHOWN  256
#define INSN_ROOM   (384 + LINE_SHOWN) /* no instruction takes more, with its native code */

/*
 * One rewritten instruction, and the one that it came from: what an address refers to stands there.
 */
struct shown {
	const struct bpf_prog *prog;
	u32 at;
	const struct bpf_insn *from;
};

static const char *call_name(void *priv, const struct bpf_insn *insn, char *buf, size_t len)
{
	const struct shown *shown = priv;
	const struct bpf_prog *prog = shown->prog;
	s64 target = shown->at + 1 + (s64)insn->imm;

	if (insn->src_reg != BPF_PSEUDO_CALL) {
		snprintf(buf, len, "bpf_%s", bpf_func_name(insn->imm));
		return buf;
	}
	for (u32 i = 0; i < prog->subprog_cnt; i++)
		if (prog->subprogs[i].start == target && prog->subprogs[i].name) {
			snprintf(buf, len, "pc%+d#%s", insn->imm, prog->subprogs[i].name);
			return buf;
		}
	return NULL;
}

/* Addresses are the server's own business: what they point into is shown instead. */
static const char *imm64_name(void *priv, const struct bpf_insn *insn, u64 imm, char *buf,
			      size_t len)
{
	const struct shown *shown = priv;
	const struct bpf_prog *prog = shown->prog;

	if (bpf_insn_is_imm64(shown->from) && !shown->from->src_reg)
		return NULL; /* the program's own number */
	for (u32 i = 0; i < bpf_prog_nr_maps(prog); i++) {
		const struct bpf_map *map = prog->used_maps[i];
		u64 values = (uintptr_t)map->values;

		if (imm == (uintptr_t)map) {
			snprintf(buf, len, "map[id:%u]", map->id);
			return buf;
		}
		if (values && imm >= values &&
		    imm - values < (u64)map->elem_size * map->max_entries) {
			snprintf(buf, len, "map[id:%u][0]+%llu", map->id,
				 (unsigned long long)(imm - values));
			return buf;
		}
	}
	return "address";
}

/* The C line that an instruction begins; what a control character says is nobody's terminal's. */
static void show_line(const struct bpf_prog *prog, u32 i, const struct bpf_line_info **last,
		      struct fs_text *out)
{
	struct bpf_line line;
	char text[LINE_SHOWN], *c;

	if (!bpf_btf_next_line(prog, prog->orig_idx ? prog->orig_idx[i] : i, last, &line))
		return;
	snprintf(text, sizeof(text), "; %s @ %.64s:%u", line.text, line.file, line.number);
	for (c = text; *c; c++)
		if ((u8)*c < ' ' || *c == 0x7f)
			*c = *c == '\t' ? ' ' : '?';
	fs_text_printf(out, "%s\n", text);
}

static u32 show_insn(const struct bpf_prog *prog, u32 i, struct fs_text *out)
{
	struct shown shown = {prog, i, &prog->insnsi[i]};
	struct bpf_disasm_cbs cbs = {call_name, imm64_name, &shown};
	bool wide = bpf_insn_is_imm64(&prog->insnsi[i]) && i + 1 < prog->len;
	struct bpf_insn insn[2] = {prog->insnsi[i]};
	char line[256];

	if (wide)
		insn[1] = prog->insnsi[i + 1];
	if (prog->orig_idx && prog->orig_idx[i] < prog->orig_len)
		shown.from = &prog->orig_insns[prog->orig_idx[i]];
	/* A helper is shown by its number, not by its distance. */
	if (insn[0].code == (BPF_JMP | BPF_CALL) && !insn[0].src_reg &&
	    shown.from->code == insn[0].code && !shown.from->src_reg)
		insn[0].imm = shown.from->imm;
	bpf_disasm(insn, &cbs, line, sizeof(line));
	fs_text_printf(out, "%4u: %s\n", i, line);
	return wide ? 2 : 1;
}

static void show_subprog(const struct bpf_prog *prog, u32 i, struct fs_text *out)
{
	for (u32 s = 0; s < prog->subprog_cnt; s++)
		if (prog->subprogs[s].start == i && prog->subprogs[s].name)
			fs_text_printf(out, "%s:\n", prog->subprogs[s].name);
}

int code_show_xlated(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	const struct bpf_line_info *last = NULL;
	struct bpf_prog *prog;
	int err = store_prog(node, req, &prog);

	if (err)
		return err;
	for (u32 i = 0; i < prog->len;) {
		show_subprog(prog, i, out);
		show_line(prog, i, &last, out);
		i += show_insn(prog, i, out);
	}
	bpf_prog_put(prog);
	return 0;
}

static void show_code(const u8 *code, u32 from, u32 to, struct fs_text *out)
{
	for (u32 at = from; at < to; at += 16) {
		fs_text_printf(out, "%8x: ", at);
		fs_text_hex(out, code + at, min(to - at, 16u), " ");
		fs_text_append(out, "\n", 1);
	}
}

int code_show_jited(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	const struct bpf_line_info *last = NULL;
	struct bpf_prog *prog;
	const u32 *offsets;
	const u8 *code;
	u32 len = 0, cnt = 0, at = 0;
	int err = store_prog(node, req, &prog);

	if (err)
		return err;
	if (!strict_shows_code(prog, req->cred.uid)) {
		bpf_prog_put(prog);
		return fs_error(req, EPERM,
				"this program is loaded strictly: its native code is "
				"for root, and for who runs the server");
	}
	code = bpf_jit_code(prog, &len);
	offsets = code ? bpf_jit_offsets(prog, &cnt) : NULL;
	if (!code)
		fs_text_printf(out, "this program is interpreted and has no native code\n");
	for (u32 i = 0; offsets && i < prog->len && i + 1 < cnt;) {
		u32 begin = min(offsets[i], len);

		show_code(code, at, begin, out);
		show_subprog(prog, i, out);
		show_line(prog, i, &last, out);
		i += show_insn(prog, i, out);
		at = min(offsets[min(i, cnt - 1)], len);
		show_code(code, begin, at, out);
	}
	if (code)
		show_code(code, at, len, out);
	bpf_prog_put(prog);
	return 0;
}

u64 code_size(struct fs_node *node, struct fs_req *req)
{
	struct bpf_prog *prog;
	u64 size;

	if (store_prog(node, req, &prog))
		return 0;
	size = prog->len > COUNT_INSNS ? (u64)prog->len * INSN_ROOM : 0;
	bpf_prog_put(prog);
	return size;
}
