/*
 * root.c - M: its own files, and the user's directories beside them
 */
#include "fs/cgroups/cgroups.h"
#include "fs/cgroups/files.h"
#include "fs/ioctl/ioctl.h"
#include "fs/events/events.h"
#include "fs/tree/root.h"
#include "fs/dirs/user_dir.h"
#include "fs/maps/event_file.h"
#include "fs/maps/maps.h"
#include "fs/progs/progs.h"
#include "fs/tree/ids.h"
#include "fs/tree/log.h"
#include "fs/tree/trace_pipe.h"
#include "fs/tree/limit_files.h"
#include "fs/tree/metrics_files.h"
#include "fs/store/state/state_tree.h"
#include "run/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>

static const char readme[] =
	"This is ubpffs: an eBPF engine as a filesystem. Let M be this directory.\n"
	"\n"
	"Load a program     cat prog.bpf.o > M/progs/new      (clang -O2 -g -target bpf)\n"
	"  the verdict      is the exit of that command; cat M/progs/log says why\n"
	"Look at it         ls M/progs; cat M/progs/NAME/info M/progs/NAME/xlated "
	"M/progs/NAME/log\n"
	"Run it             exec 3<>M/progs/NAME/run; cat packet >&3; cat <&3\n"
	"Make a map         mkdir M/maps/NAME; cd M/maps/NAME\n"
	"                   echo hash > type; echo 4 > key_size; echo 8 > value_size; echo 100 > "
	"max_entries\n"
	"Load beside it     mkdir M/progs/v2; cat prog.bpf.o > M/progs/v2/new    (maps in "
	"M/progs/v2/maps)\n"
	"Use a map          echo 1 > entries/7; cat entries/7; rm entries/7; ls entries; cat dump\n"
	"                   by member: echo '{\"packets\":0}' > entries/7; cat dump.json\n"
	"Global variables   cat M/maps/NAME.data/vars/limit; echo 5 > M/maps/NAME.data/vars/limit\n"
	"                   queues: echo 1 > push; cat pop    ring buffers: cat records\n"
	"Keep an object     mkdir M/mine; ln M/progs/NAME/prog M/mine/\n"
	"Remove it          rm -r M/progs/NAME M/maps/NAME    (it lives while a pin, an open file "
	"or a program\n"
	"                   holds it)\n"
	"\n"
	"progs/             programs: new (write objects here), log (report of your last load), "
	"NAME/\n"
	"maps/              maps: NAME/ with their definition, entries/, dump\n"
	"cgroup/            a hierarchy (mkdir): echo NAME > ingress.attach, cat "
	"ingress.effective\n"
	"events/            sources of events (mkdir): echo perf > type, then event, pid, freq, "
	"attach\n"
	"limits/            what each user may hold: usage (yours), default/, UID/ (root sets "
	"them)\n"
	"ids/               every object by its number, also those without a name\n"
	"log                your last errors, and what to do about each\n"
	"features           what this build can do\n"
	"metrics            all that is counted, for Prometheus; status: the server in short\n"
	"trace_pipe         what programs print (waits for lines)\n"
	"ctl                for programs: the ioctls of ubpffs.h\n"
	"any other name     yours: mkdir, ln, mv, rm, ln -s, chmod, chown\n";

static int readme_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	fs_text_append(out, readme, sizeof(readme) - 1);
	return 0;
}

static int version_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	fs_text_printf(out, "%s\n", UBPFFS_VERSION);
	return 0;
}

/* ---- features: generated from the engine's own tables */

static void show_prog_types(struct fs_text *out)
{
	u32 type = BPF_PROG_TYPE_UNSPEC;

	do
		fs_text_printf(out, "prog_type %s: %s\n", bpf_prog_type_name(type),
			       bpf_prog_type_ops_find(type) ? "yes" : "no");
	while ((type = bpf_prog_type_next(type)));
}

static void show_map_types(struct fs_text *out)
{
	for (int type = 1; bpf_map_type_name(type); type++)
		fs_text_printf(out, "map_type %s: %s\n", bpf_map_type_name(type),
			       bpf_map_ops_find(type) ? "yes" : "no");
}

/* What else than data a value may hold. */
static void show_value_fields(struct fs_text *out)
{
	fs_text_printf(out, "value bpf_spin_lock:");
	for (int type = 1; bpf_map_type_name(type); type++)
		if (bpf_map_ops_find(type) && bpf_map_ops_find(type)->spin_lock)
			fs_text_printf(out, " %s", bpf_map_type_name(type));
	fs_text_printf(out, "\n");
}

/* A helper counts for a type when that type's own function gives it to a GPL program. */
static void show_helpers(struct fs_text *out)
{
	struct bpf_prog prog = {.gpl_compatible = true};

	for (int id = 1; id < __BPF_FUNC_MAX_ID; id++) {
		struct fs_text types = {0};

		for (u32 type = bpf_prog_type_next(0); type; type = bpf_prog_type_next(type)) {
			const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(type);
			const struct bpf_func_proto *proto;

			prog.type = type;
			proto = ops ? ops->get_func_proto(id, &prog) : NULL;
			if (proto && proto->func)
				fs_text_printf(&types, " %s", ops->name);
		}
		fs_text_printf(out, "helper %s:%s\n", bpf_func_name(id),
			       types.buf ? types.buf : " no");
		fs_text_free(&types);
	}
}

static void show_opcodes(struct fs_text *out)
{
	u32 n = 0;

	for (int op = 0; op < BPF_OP_MAX; op++) {
		if (op == BPF_OP_TAIL_CALL) /* internal */
			continue;
		fs_text_printf(out, "opcode %02x: %s\n", bpf_op_info[op].code,
			       bpf_op_info[op].name);
		n++;
	}
	fs_text_printf(out, "opcodes: %u\n", n);
}

static int features_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct utsname uts;

	fs_text_printf(out, "version: %s\n", UBPFFS_VERSION);
	if (!uname(&uts))
		fs_text_printf(out, "machine: %s\n", uts.machine);
#ifdef __x86_64__
	fs_text_printf(out, "jit: yes\n");
#else
	fs_text_printf(out, "jit: no\n");
#endif
	fs_text_printf(out, "slots: %u\n", bpf_nr_slots());
	show_prog_types(out);
	show_map_types(out);
	show_value_fields(out);
	show_helpers(out);
	show_opcodes(out);
	return 0;
}

#define SHOW_OPS(id, fn) \
	static const struct fs_node_ops id = {.name = #id, .type = S_IFREG, .show = fn}

SHOW_OPS(readme_ops, readme_show);
SHOW_OPS(version_ops, version_show);
SHOW_OPS(features_ops, features_show);

/* Only ever add at the end: rows are part of node ids. */
static const struct fs_attr root_attrs[] = {
	{"README", 0444, &readme_ops, 0},
	{"version", 0444, &version_ops, 0},
	{"features", 0444, &features_ops, 0},
	{"log", 0444, &log_ops, 0},
	{"metrics", 0444, &metrics_ops, 0},
	{"trace_pipe", 0777, &waiting_link_ops, 0},
	{"ids", 0755, &ids_ops, 0},
	{"ctl", 0666, &ctl_ops, 0},
	{".trace_pipe", 0444, &trace_pipe_ops, 0},
	{".event", 0666, &event_file_ops, 0},
	{"status", 0444, &status_ops, 0},
};

/* A folder each. */
static const struct root_dir {
	const char *name;
	const struct fs_node_ops *ops;
} root_dirs[] = {
	{"progs", &progs_dir_ops},   {"maps", &maps_dir_ops},	  {"cgroup", &cgroup_dir_ops},
	{"events", &events_dir_ops}, {"limits", &limits_dir_ops},
};

static const struct root_dir *find_dir(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(root_dirs); i++)
		if (!strcmp(name, root_dirs[i].name))
			return &root_dirs[i];
	return NULL;
}

static int find_row(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(root_attrs); i++)
		if (!strcmp(name, root_attrs[i].name))
			return i;
	return -1;
}

static bool root_reserved(const char *name)
{
	return find_row(name) >= 0 || find_dir(name);
}

static int root_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node **out)
{
	const struct root_dir *own = find_dir(name);
	int row = find_row(name), err;

	if (row >= 0)
		return fs_node_attr(dir, root_attrs, row, out);
	tree_rdlock();
	err = fs_tree_lookup(dir, name, own ? own->ops : &user_dir_ops, out);
	tree_unlock();
	return err;
}

static int root_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			void *arg)
{
	return rows_readdir(open, req, root_attrs, ARRAY_SIZE(root_attrs), true, cursor, emit, arg);
}

static const struct fs_node_ops root_ops = {
	.name = "root",
	.type = S_IFDIR,
	.rows = root_attrs,
	.nr_rows = ARRAY_SIZE(root_attrs),
	.stable = true,
	.reserved = root_reserved,
	.lookup = root_lookup,
	.readdir = root_readdir,
	.release = user_release,
	.mkdir = user_mkdir,
	.symlink = user_symlink,
	.link = user_link,
	.unlink = user_unlink,
	.rmdir = user_rmdir,
	.rename = user_rename,
};

int root_start(void)
{
	struct fs_node *root;

	object_file_ops[STORE_PROG] = &prog_file_ops;
	object_file_ops[STORE_MAP] = &map_file_ops;
	object_file_ops[STORE_LINK] = &link_file_ops;
	pin_ops[STORE_PROG] = &prog_pin_ops;
	pin_ops[STORE_MAP] = &map_pin_ops;
	pin_ops[STORE_LINK] = &link_pin_ops;
	return fs_node_root(&root_ops, &root); /* kept for ever */
}
