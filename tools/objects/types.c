/*
 * types.c - ubpfctl btf dump: the types of programs and maps, as C
 *
 * libbpf prints them, as bpftool's `btf dump ... format c`.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/elements.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"

static void print_c(void *ctx, const char *fmt, va_list args)
{
	vprintf(fmt, args);
}

static int dump_c(const struct btf *btf)
{
	struct btf_dump *d = btf_dump__new(btf, print_c, NULL, NULL);
	int ret = d ? 0 : -errno;

	for (__u32 id = 1; !ret && id < btf__type_cnt(btf); id++)
		ret = btf_dump__dump_type(d, id);
	btf_dump__free(d);
	return ret;
}

static const char *kind_name(const struct btf_type *t)
{
	static const char *const names[] = {
		"UNKNOWN", "INT",     "PTR",	  "ARRAY",    "STRUCT",	  "UNION", "ENUM",
		"FWD",	   "TYPEDEF", "VOLATILE", "CONST",    "RESTRICT", "FUNC",  "FUNC_PROTO",
		"VAR",	   "DATASEC", "FLOAT",	  "DECL_TAG", "TYPE_TAG", "ENUM64"};
	__u32 kind = btf_kind(t);

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "UNKNOWN";
}

static void out_member(const struct btf *btf, const struct btf_type *t, __u32 i)
{
	const struct btf_member *m = &btf_members(t)[i];

	out_begin(NULL, '{');
	out_str("name", *btf__name_by_offset(btf, m->name_off)
				? btf__name_by_offset(btf, m->name_off)
				: "(anon)");
	out_u64("type_id", m->type);
	out_u64("bits_offset", btf_member_bit_offset(t, i));
	if (btf_member_bitfield_size(t, i))
		out_u64("bitfield_size", btf_member_bitfield_size(t, i));
	out_end('}');
}

static void out_type(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	const char *name = btf__name_by_offset(btf, t->name_off);

	out_begin(NULL, '{');
	out_u64("id", id);
	out_str("kind", kind_name(t));
	out_str("name", name && *name ? name : "(anon)");
	if (btf_is_int(t) || btf_is_composite(t) || btf_is_any_enum(t) || btf_is_float(t) ||
	    btf_is_datasec(t))
		out_u64("size", t->size);
	else if (!btf_is_fwd(t) && !btf_is_array(t))
		out_u64("type_id", t->type);
	if (btf_is_array(t)) {
		out_u64("type_id", btf_array(t)->type);
		out_u64("index_type_id", btf_array(t)->index_type);
		out_u64("nr_elems", btf_array(t)->nelems);
	}
	if (btf_is_composite(t)) {
		out_u64("vlen", btf_vlen(t));
		out_begin("members", '[');
		for (__u32 i = 0; i < btf_vlen(t); i++)
			out_member(btf, t, i);
		out_end(']');
	}
	if (btf_is_enum(t)) {
		out_u64("vlen", btf_vlen(t));
		out_begin("values", '[');
		for (__u32 i = 0; i < btf_vlen(t); i++) {
			out_begin(NULL, '{');
			out_str("name", btf__name_by_offset(btf, btf_enum(t)[i].name_off));
			out_s64("val", btf_enum(t)[i].val);
			out_end('}');
		}
		out_end(']');
	}
	out_end('}');
}

static void out_types(const struct btf *btf)
{
	out_begin(NULL, '{');
	out_begin("types", '[');
	for (__u32 id = 1; id < btf__type_cnt(btf); id++)
		out_type(btf, id);
	out_end(']');
	out_end('}');
}

/* `prog P`, `map M`, `id N`: whose types. 0: a sentence was printed. */
static unsigned int types_id(int argc, char **argv)
{
	bool map = !strcmp(argv[0], "map");
	struct object obj;
	unsigned int id;

	if (!strcmp(argv[0], "id"))
		return strtoul(argv[1], NULL, 0);
	if (object_open(map ? UBPFFS_MAP : UBPFFS_PROG, argc - 1, argv + 1, &obj) < 0)
		return 0;
	id = map ? obj.map.btf_id : obj.prog.btf_id;
	object_close(&obj);
	if (!id)
		fprintf(stderr,
			"ubpfctl: %s has no types, or they are somebody else's; compile with "
			"clang -g\n",
			argv[1]);
	return id;
}

int cmd_btf(int argc, char **argv)
{
	const struct bpf_btf *btf;
	unsigned int id;
	int err = 0;

	if (argc < 4 || argc > 5 || strcmp(argv[1], "dump") ||
	    (strcmp(argv[2], "prog") && strcmp(argv[2], "map") && strcmp(argv[2], "id")))
		return 2;
	id = types_id(argc - 2, argv + 2);
	if (!id)
		return 1;
	btf = types_of(id);
	if (!btf) {
		fprintf(stderr,
			"ubpfctl: %s/ids/btf/%u: no types of that id, or they are somebody "
			"else's (ls %s/ids/btf)\n",
			mount_point(), id, mount_point());
		return 1;
	}
	if (out_json())
		out_types(btf->btf);
	else
		err = dump_c(btf->btf);
	if (err)
		fprintf(stderr, "ubpfctl: these types cannot be written as C: %s\n",
			strerror(-err));
	return (err != 0) | out_done();
}
