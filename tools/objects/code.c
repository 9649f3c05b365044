/*
 * code.c - ubpfctl prog dump xlated|jited: a program's instructions under its source lines
 *
 * From the parts that the server gives as data. Native code is for the program's owner and root.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "insn/disasm.h"
#include "insn/func.h"
#include "tools/lib/commands.h"
#include "tools/lib/elements.h"
#include "tools/lib/mount.h"
#include "tools/lib/native.h"
#include "tools/lib/output.h"
#include "uapi/ubpffs_client.h"

#define MOST (16u << 20) /* bytes of a part */

struct part {
	void *data;
	unsigned int nr;
};

struct code {
	struct object prog;
	const struct btf *btf; /* or NULL */
	struct part insns, funcs, lines;
	struct part native, syms, lens, line_addrs;
};

static int get_part(const struct object *prog, enum ubpffs_prog_part which, size_t size,
		    struct part *part)
{
	struct ubpffs_io io;

	for (unsigned int room = 64 << 10;; room *= 4) {
		io = (struct ubpffs_io){.flags = which, .out_len = room};
		part->data = malloc(room);
		if (!part->data ||
		    ubpfc_command(prog->fd, UBPFFS_PROG_PART, &io, NULL, 0, part->data))
			return -1;
		part->nr = io.out_len / size;
		if (io.out_len + size <= room || room >= MOST)
			return 0;
		free(part->data);
	}
}

static const char *text_of(const struct code *code, __u32 off)
{
	const char *s = code->btf ? btf__name_by_offset(code->btf, off) : NULL;

	return s ? s : "";
}

static const char *line_text(const struct code *code, unsigned int line)
{
	const struct bpf_line_info *info = code->lines.data;
	const char *s = text_of(code, info[line].line_off);

	return s + strspn(s, " \t");
}

/* The C function that a record of func_info names. */
static const char *func_name(const struct code *code, unsigned int func)
{
	const struct bpf_func_info *info = code->funcs.data;
	const struct btf_type *t = NULL;

	if (code->btf && func < code->funcs.nr)
		t = btf__type_by_id(code->btf, info[func].type_id);
	return t && *text_of(code, t->name_off) ? text_of(code, t->name_off) : code->prog.prog.name;
}

/* ---- xlated */

struct at {
	const struct code *code;
	unsigned int insn;
};

static const char *call_name(void *priv, const struct bpf_insn *insn, char *buf, size_t len)
{
	const struct at *at = priv;
	const struct bpf_func_info *info = at->code->funcs.data;
	__u32 target = at->insn + 1 + insn->imm;

	if (insn->src_reg != BPF_PSEUDO_CALL) {
		snprintf(buf, len, "bpf_%s", bpf_func_name(insn->imm));
		return buf;
	}
	for (unsigned int i = 0; i < at->code->funcs.nr; i++)
		if (info[i].insn_off == target) {
			snprintf(buf, len, "pc%+d#%s", insn->imm, func_name(at->code, i));
			return buf;
		}
	return NULL;
}

static const char *imm64_name(void *priv, const struct bpf_insn *insn, u64 imm, char *buf,
			      size_t len)
{
	if (insn->src_reg == BPF_PSEUDO_MAP_FD)
		snprintf(buf, len, "map[id:%u]", (u32)imm);
	else if (insn->src_reg == BPF_PSEUDO_MAP_VALUE)
		snprintf(buf, len, "map[id:%u][0]+%u", (u32)imm, (u32)(imm >> 32));
	else
		return NULL;
	return buf;
}

static void say_func(const char *name)
{
	if (!out_json())
		printf("%s:\n", name);
}

static void say_line(const char *line)
{
	if (!out_json() && *line)
		printf("; %s\n", line);
}

static int dump_xlated(struct code *code)
{
	const struct bpf_insn *insns = code->insns.data;
	const struct bpf_func_info *funcs = code->funcs.data;
	const struct bpf_line_info *lines = code->lines.data;
	unsigned int func = 0, line = 0;
	char text[256];

	if (!code->funcs.nr)
		say_func(code->prog.prog.name);
	for (unsigned int i = 0; i < code->insns.nr; i++) {
		struct at at = {code, i};
		struct bpf_disasm_cbs cbs = {call_name, imm64_name, &at};
		struct bpf_insn insn[2] = {insns[i]};
		bool wide = insn[0].code == (BPF_LD | BPF_IMM | BPF_DW) && i + 1 < code->insns.nr;
		const char *src = NULL;

		if (wide)
			insn[1] = insns[i + 1];
		if (func < code->funcs.nr && funcs[func].insn_off == i)
			say_func(func_name(code, func++));
		for (; line < code->lines.nr && lines[line].insn_off <= i; line++)
			src = line_text(code, line);
		bpf_disasm(insn, &cbs, text, sizeof(text));
		if (out_json()) {
			out_begin(NULL, '{');
			if (src)
				out_str("src", src);
			out_str("disasm", text);
			out_end('}');
		} else {
			say_line(src ? src : "");
			printf("%4u: %s\n", i, text);
		}
		i += wide;
	}
	return 0;
}

/* ---- jited */

static void print_native(const u8 *bytes, unsigned int n, unsigned int off, const char *text)
{
	char hex[64] = "";

	for (unsigned int i = 0; i < n && i < 20; i++)
		sprintf(hex + 3 * i, "%02x ", bytes[i]);
	if (out_json()) {
		char pc[32];

		snprintf(pc, sizeof(pc), "0x%x", off);
		out_str("pc", pc);
		out_str("operation", text ? text : hex);
	} else if (text) {
		printf("%6x: %s\n", off, text);
	} else {
		printf("%6x: %s\n", off, hex);
	}
}

/* Native code from `begin` on, `len` bytes, of one function. */
static void dump_function(struct code *code, u64 base, u64 begin, unsigned int len)
{
	const u8 *native = code->native.data;
	const u64 *addrs = code->line_addrs.data;
	unsigned int nr_lines = min(code->lines.nr, code->line_addrs.nr), n;
	char text[256];

	for (u64 pc = begin; pc < begin + len; pc += n) {
		const u8 *at = native + (pc - base);
		unsigned int left = begin + len - pc;
		const char *src = NULL;

		n = native_insn(at, left, pc - base, text, sizeof(text));
		for (unsigned int i = 0; i < nr_lines; i++)
			if (addrs[i] >= pc && addrs[i] < pc + max(n, 1u))
				src = line_text(code, i);
		if (out_json())
			out_begin(NULL, '{');
		if (src && out_json())
			out_str("src", src);
		else if (src)
			say_line(src);
		if (n) {
			print_native(at, n, pc - base, text);
		} else { /* up to the next line, 16 bytes at most */
			n = min(left, 16u);
			for (unsigned int i = 0; i < nr_lines; i++)
				if (addrs[i] > pc && addrs[i] < pc + n)
					n = addrs[i] - pc;
			print_native(at, n, pc - base, NULL);
		}
		if (out_json())
			out_end('}');
	}
}

static int dump_jited(struct code *code)
{
	const u64 *syms = code->syms.data;
	const u32 *lens = code->lens.data;
	unsigned int nr = min(code->syms.nr, code->lens.nr);

	if (!code->native.nr) {
		fprintf(stderr,
			"ubpfctl: this program is interpreted and has no native code (`jit` in "
			"features says what the machine has)\n");
		return 1;
	}
	if (!out_json() && native_missing())
		fprintf(stderr, "ubpfctl: %s\n", native_missing());
	for (unsigned int i = 0; i < nr; i++) {
		if (syms[i] < syms[0] || syms[i] - syms[0] + lens[i] > code->native.nr)
			continue;
		if (out_json()) {
			out_begin(NULL, '{');
			out_str("name", func_name(code, i));
			out_begin("insns", '[');
		} else {
			say_func(func_name(code, i));
		}
		dump_function(code, syms[0], syms[i], lens[i]);
		if (out_json()) {
			out_end(']');
			out_end('}');
		}
	}
	return 0;
}

static int read_parts(struct code *code, bool jited)
{
	const struct object *prog = &code->prog;
	const struct bpf_btf *btf = types_of(prog->prog.btf_id);

	code->btf = btf ? btf->btf : NULL;
	if (get_part(prog, UBPFFS_PROG_FUNC_INFO, sizeof(struct bpf_func_info), &code->funcs) ||
	    get_part(prog, UBPFFS_PROG_LINE_INFO, sizeof(struct bpf_line_info), &code->lines))
		return -1;
	if (!jited)
		return get_part(prog, UBPFFS_PROG_XLATED, sizeof(struct bpf_insn), &code->insns);
	return get_part(prog, UBPFFS_PROG_JITED, 1, &code->native) ||
			       get_part(prog, UBPFFS_PROG_JITED_KSYMS, 8, &code->syms) ||
			       get_part(prog, UBPFFS_PROG_JITED_FUNC_LENS, 4, &code->lens) ||
			       get_part(prog, UBPFFS_PROG_JITED_LINES, 8, &code->line_addrs)
		       ? -1
		       : 0;
}

static void code_free(struct code *code)
{
	struct part *const parts[] = {&code->insns, &code->funcs, &code->lines,	    &code->native,
				      &code->syms,  &code->lens,  &code->line_addrs};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		free(parts[i]->data);
	object_close(&code->prog);
}

int cmd_prog(int argc, char **argv)
{
	struct code code = {0};
	bool jited;
	int n, ret;

	if (argc < 4 || strcmp(argv[1], "dump") ||
	    (strcmp(argv[2], "xlated") && strcmp(argv[2], "jited")))
		return 2;
	jited = !strcmp(argv[2], "jited");
	n = object_open(UBPFFS_PROG, argc - 3, argv + 3, &code.prog);
	if (n < 0)
		return 1;
	if (n != argc - 3) {
		object_close(&code.prog);
		return 2;
	}
	if (read_parts(&code, jited)) {
		if (jited && errno == EPERM)
			fprintf(stderr,
				"ubpfctl: native code holds addresses of the server: it is for "
				"the program's owner and root\n");
		else
			fail(argv[3]);
		code_free(&code);
		return 1;
	}
	if (out_json())
		out_begin(NULL, '[');
	ret = jited ? dump_jited(&code) : dump_xlated(&code);
	if (out_json())
		out_end(']');
	code_free(&code);
	return ret | out_done();
}
