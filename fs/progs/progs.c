/*
 * progs.c - M/progs and M/progs/<prog>: the files that show a program
 *
 * `run` is in run.c, writing objects in progs/load/new.c.
 */
#include "fs/progs/progs.h"
#include "fs/dirs/object_dir.h"
#include "fs/dirs/user_dir.h"
#include "fs/progs/code.h"
#include "fs/progs/load/log.h"
#include "fs/progs/load/new.h"
#include "fs/maps/maps.h"
#include "fs/progs/load/constants.h"
#include "fs/store/load_dir.h"
#include "fs/progs/load/own_file.h"
#include "fs/store/names/map_owner.h"
#include "fs/progs/maps_dir.h"
#include "fs/progs/run.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"
#include "fs/store/objects/asleep.h"
#include "jit/jit.h"
#include "load.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

/* ---- info */

static void show_time(struct fs_text *out, const char *name, u64 ns)
{
	time_t seconds = ns / 1000000000ULL;
	char text[40];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm);
	fs_text_printf(out, "%s: %s\n", name, text);
}

static void show_hex(struct fs_text *out, const char *name, const u8 *data, size_t len)
{
	fs_text_printf(out, "%s: ", name);
	fs_text_hex(out, data, len, "");
	fs_text_append(out, "\n", 1);
}

static void show_maps(struct fs_text *out, const struct bpf_prog *prog)
{
	fs_text_printf(out, "map_ids:");
	for (u32 i = 0; i < bpf_prog_nr_maps(prog); i++)
		fs_text_printf(out, " %u", prog->used_maps[i]->id);
	fs_text_append(out, "\n", 1);
}

/* Passes that changed nothing are not shown. */
static void show_jit(struct fs_text *out, const struct bpf_prog *prog)
{
	const char *name;
	u32 changed;

	fs_text_printf(out, "jited_bytes: %u\n", prog->jited_len);
	if (!prog->jited_len)
		return;
	fs_text_printf(out, "jit_us: %u\njit_passes:", bpf_jit_us(prog));
	for (u32 i = 0; (name = bpf_jit_pass(prog, i, &changed)); i++)
		if (changed)
			fs_text_printf(out, " %s %u", name, changed);
	fs_text_append(out, "\n", 1);
}

static int info_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct store_object *obj;
	struct bpf_prog *prog;
	int err = store_of_node(node, &obj);

	if (err)
		return err;
	err = store_wake(obj);
	if (err) {
		store_put(obj);
		return err;
	}
	fs_text_printf(out, "id: %u\n", obj->id);
	if (obj->broken) {
		fs_text_printf(out, "broken: %s\n", obj->broken);
		store_put(obj);
		return 0;
	}
	prog = obj->prog;
	fs_text_printf(out, "name: %s\n", prog->name);
	fs_text_printf(out, "type: %s\n", bpf_prog_type_name(prog->type));
	if ((u32)prog->type == BPF_PROG_TYPE_RAW)
		fs_text_printf(out, "block_size: %u\n", bpf_prog_block_size(prog));
	else
		fs_text_printf(out, "expected_attach_type: %u\n", prog->expected_attach_type);
	show_hex(out, "tag", prog->tag, sizeof(prog->tag));
	fs_text_printf(out, "license: %s\n", prog->license);
	fs_text_printf(out, "gpl_compatible: %u\n", prog->gpl_compatible);
	show_time(out, "loaded_at", prog->load_time);
	fs_text_printf(out, "insns: %u\n", prog->orig_len);
	if (prog->classic_len)
		fs_text_printf(out, "classic_insns: %u\n", prog->classic_len);
	fs_text_printf(out, "verified_insns: %u\n", prog->verified_insns);
	fs_text_printf(out, "xlated_insns: %u\n", prog->len);
	show_jit(out, prog);
	fs_text_printf(out, "subprograms: %u\n", prog->subprog_cnt);
	fs_text_printf(out, "strict: %u\n", !!(prog->prog_flags & PROG_F_STRICT));
	fs_text_printf(out, "stopped_by_fault: %u\n", READ_ONCE(prog->poisoned));
	show_maps(out, prog);
	store_put(obj);
	return 0;
}

/* ---- log, stats */

#define LOG_KEPT (64u << 10)

/* Made once and kept, so that it is as long as stat said: the time of the verification is in it. */
static int accepted_log(struct store_object *obj, struct fs_req *req, struct fs_text *out)
{
	char *text = __atomic_load_n(&obj->log, __ATOMIC_ACQUIRE), *none = NULL;
	struct bpf_log log;
	int err;

	if (text) {
		fs_text_append(out, text, strlen(text));
		return 0;
	}
	bpf_log_init(&log, BPF_LOG_LEVEL1 | BPF_LOG_STATS, 0);
	err = bpf_prog_log(obj->prog, &log, &req->cancel);
	if (!err && log.len <= LOG_KEPT)
		text = strndup(bpf_log_text(&log), log.len);
	if (text && !__atomic_compare_exchange_n(&obj->log, &none, text, false, __ATOMIC_ACQ_REL,
						 __ATOMIC_ACQUIRE)) {
		free(text);
		text = none; /* somebody was faster */
	}
	if (text)
		fs_text_append(out, text, strlen(text));
	else
		fs_text_append(out, bpf_log_text(&log), log.len);
	bpf_log_free(&log);
	return err;
}

static int proglog_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct store_object *obj;
	int err = store_of_node(node, &obj);

	if (err)
		return err;
	err = store_wake(obj);
	if (err) {
		;
	} else if (obj->broken) {
		const char *text = store_broken_log(obj);

		fs_text_printf(out, "%s\n%s", obj->broken, text ? text : "");
	} else if (obj->prog) {
		err = accepted_log(obj, req, out);
	}
	store_put(obj);
	return err;
}

static int stats_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct bpf_prog *prog;
	int err = store_prog(node, req, &prog);

	if (err)
		return err;
	fs_text_printf(out, "run_cnt: %llu\n",
		       (unsigned long long)__atomic_load_n(&prog->run_cnt, __ATOMIC_RELAXED));
	fs_text_printf(out, "run_time_ns: %llu\n",
		       (unsigned long long)__atomic_load_n(&prog->run_time_ns, __ATOMIC_RELAXED));
	bpf_prog_put(prog);
	return 0;
}

/* ---- sizes of what may be long */

#define COUNT_VERIFIED 10000 /* some milliseconds */

/* That of a large program is verified for when it is read; a log of what was accepted is short. */
static u64 proglog_size(struct fs_node *node, struct fs_req *req)
{
	struct store_object *obj;
	u64 size = 0;

	if (store_of_node(node, &obj))
		return 0;
	if (!store_wake(obj) && obj->prog && obj->prog->verified_insns > COUNT_VERIFIED &&
	    !__atomic_load_n(&obj->log, __ATOMIC_ACQUIRE))
		size = LOG_KEPT;
	store_put(obj);
	return size;
}

#define SHOW_OPS(id, fn, ...) \
	static const struct fs_node_ops id = {.name = #id, .type = S_IFREG, .show = fn, __VA_ARGS__}

SHOW_OPS(info_ops, info_show);
SHOW_OPS(xlated_ops, code_show_xlated, .size = code_size);
SHOW_OPS(jited_ops, code_show_jited, .size = code_size);
/* Verifies: as long as a load. */
static const struct fs_node_ops proglog_ops = {
	.name = "proglog_ops",
	.type = S_IFREG,
	.slow = true,
	.short_show = true,
	.size = proglog_size,
	.show = proglog_show,
};
SHOW_OPS(stats_ops, stats_show);

/* ---- M/progs/<prog> */

/* Native code holds the server's addresses: it is the owner's to read. */
static const struct fs_attr prog_attrs[] = {
	{"info", 0444, &info_ops, 0},	   {"xlated", 0444, &xlated_ops, 0},
	{"jited", 0400, &jited_ops, 0},	   {"log", 0444, &proglog_ops, 0},
	{"run", 0666, &run_ops, 0},	   {"stats", 0444, &stats_ops, 0},
	{"maps", 0777, &prog_maps_ops, 0},
};

static void prog_dropped(struct store_object *obj)
{
	map_owner_prog_gone(obj->id);
}

static const struct objdir_kind prog_dir_kind = {
	.object = "prog",
	.attrs = prog_attrs,
	.attr_cnt = ARRAY_SIZE(prog_attrs),
	.dropped = prog_dropped,
};

static int prog_dir_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			   struct fs_node **out)
{
	return objdir_lookup(&prog_dir_kind, dir, name, out);
}

static int prog_dir_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			    void *arg)
{
	return objdir_readdir(&prog_dir_kind, open, cursor, emit, arg);
}

static int prog_dir_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return objdir_unlink(&prog_dir_kind, dir, req, name);
}

static int prog_dir_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return objdir_rmdir_child(&prog_dir_kind, dir, req, name);
}

static const struct fs_node_ops prog_dir_ops = {
	.name = "program",
	.type = S_IFDIR,
	.rows = prog_attrs,
	.nr_rows = ARRAY_SIZE(prog_attrs),
	.object = "prog",
	.lookup = prog_dir_lookup,
	.readdir = prog_dir_readdir,
	.unlink = prog_dir_unlink,
	.rmdir = prog_dir_rmdir,
	.rows_stat = store_node_stat,
	.free = store_node_free,
};
FS_KIND(prog_dir_ops, "program directory");

/* ---- M/progs, and load directories in it */

static const struct fs_attr progs_attrs[] = {
	{"new", 0222, &newprog_ops, 0},
	{"log", 0444, &progslog_ops, 0},
	{"constants", 0666, &constants_ops, 0},
};
#define LOAD_DIR_ROWS ARRAY_SIZE(progs_attrs)
#define PROGS_ROWS    (LOAD_DIR_ROWS - 1)

static const struct fs_node_ops load_dir_ops;

static u32 rows_of(const struct fs_node *dir)
{
	return dir->ops == &load_dir_ops ? LOAD_DIR_ROWS : PROGS_ROWS;
}

static int progs_row(const struct fs_node *dir, const char *name)
{
	for (u32 i = 0; i < rows_of(dir); i++)
		if (!strcmp(name, progs_attrs[i].name))
			return (int)i;
	return -1;
}

/* What the directory `name` is; tree_lock held. */
static const struct fs_node_ops *ops_of(struct fs_node *dir, const char *name)
{
	if (dir->ops == &load_dir_ops)
		return strcmp(name, LOAD_DIR_MAPS) ? &prog_dir_ops : &maps_dir_ops;
	return tree_load_dir_at(fs_node_fd(dir), name) > 0 ? &load_dir_ops : &prog_dir_ops;
}

static int progs_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			struct fs_node **out)
{
	int row = progs_row(dir, name), err;

	if (row >= 0) {
		err = fs_node_attr(dir, progs_attrs, (u32)row, out);
		if (err || row >= (int)PROGS_ROWS)
			return err;
		/* Who may make names here may write new. */
		err = own_file_bind(*out, &req->cred,
				    (*out)->ops == &newprog_ops ? W_OK | X_OK : 0);
		if (err) {
			fs_node_put(*out);
			*out = NULL;
		}
		return err;
	}
	if (name[0] == '.')
		return -ENOENT;
	tree_rdlock();
	err = fs_tree_lookup(dir, name, ops_of(dir, name), out);
	tree_unlock();
	return err;
}

static int progs_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			 void *arg)
{
	return rows_readdir(open, req, progs_attrs, rows_of(open->node), false, cursor, emit, arg);
}

/* tree_wrlock is held: the maps of the load directory at `fd`. */
static int make_load_dir_maps(int fd, mode_t mode, struct fs_req *req)
{
	__do_close int maps = -1;
	int err = tree_mkdir(fd, LOAD_DIR_MAPS, mode, &req->cred, fs_why(req));

	if (err)
		return err;
	maps = tree_openat(fd, LOAD_DIR_MAPS);
	return maps < 0 ? maps : tree_write_small(maps, LOAD_DIR_FILE, "", 0, fs_why(req));
}

/* tree_wrlock is held. -ENOTEMPTY: there are programs or maps. */
static int remove_load_dir(int progs, const char *name, struct error_record *why)
{
	__do_close int fd = tree_openat(progs, name), maps = -1;
	struct tree_names names;
	int err = fd < 0 ? fd : tree_list(fd, false, &names);
	size_t n;

	if (err)
		return err;
	n = names.n;
	tree_names_free(&names);
	maps = tree_openat(fd, LOAD_DIR_MAPS);
	if (maps >= 0) {
		err = n > 1 ? tree_error(why, ENOTEMPTY, name) : tree_list(maps, false, &names);
		if (err)
			return err;
		n = names.n;
		tree_names_free(&names);
		err = n ? tree_error(why, ENOTEMPTY, name) : tree_remove_hidden(maps, NULL);
		if (!err)
			err = tree_rmdir(fd, LOAD_DIR_MAPS, why);
	}
	if (!err)
		err = tree_remove_hidden(fd, NULL);
	return err ? err : tree_rmdir(progs, name, why);
}

static int progs_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		       struct fs_node **out)
{
	__do_close int fd = -1;
	int err;

	if (dir->ops == &load_dir_ops)
		return fs_error(req, EPERM,
				"a program is made by writing an object to new, not by mkdir");
	if (!load_dir_name_ok(name) || load_dir_own_name(name))
		return fs_error(req, EINVAL,
				"\"%s\" cannot be the name of a load directory: no blanks, and no "
				"file's name",
				name);
	err = objdir_mkdir(dir, req, name, mode, LOAD_DIR_FILE, &load_dir_ops, out);
	if (err)
		return err;
	tree_wrlock();
	fd = tree_openat(fs_node_fd(dir), name);
	err = fd < 0 ? fd : make_load_dir_maps(fd, mode, req);
	if (err)
		remove_load_dir(fs_node_fd(dir), name, NULL);
	tree_unlock();
	if (err) {
		fs_node_put(*out);
		*out = NULL;
	}
	return err;
}

/* Nothing is lost by it, and rm -r of all in progs/ need not fail: new and log are there again. */
static int progs_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return progs_row(dir, name) < 0 ? -ENOENT : 0;
}

/* The maps of a load directory go with it: when they are empty, nothing is lost. */
static int load_dir_maps_rmdir(struct fs_node *load_dir, struct fs_req *req)
{
	__do_close int fd = -1;
	struct tree_names names;
	size_t n;
	int err;

	tree_rdlock();
	fd = tree_openat(fs_node_fd(load_dir), LOAD_DIR_MAPS);
	err = fd < 0 ? fd : tree_list(fd, false, &names);
	tree_unlock();
	if (err)
		return err;
	n = names.n;
	tree_names_free(&names);
	return n ? tree_error(fs_why(req), ENOTEMPTY, LOAD_DIR_MAPS) : 0;
}

static int progs_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	int err = 0, load_dir = 0;

	if (dir->ops == &load_dir_ops && !strcmp(name, LOAD_DIR_MAPS))
		return load_dir_maps_rmdir(dir, req);
	if (dir->ops != &load_dir_ops) {
		tree_wrlock();
		load_dir = tree_load_dir_at(fs_node_fd(dir), name);
		if (load_dir > 0)
			err = remove_load_dir(fs_node_fd(dir), name, fs_why(req));
		tree_unlock();
	}
	if (load_dir)
		return load_dir < 0 ? load_dir : err;
	return objdir_remove(&prog_dir_kind, dir, req, name);
}

static int progs_rename(struct fs_node *dir, struct fs_req *req, const char *name,
			struct fs_node *newdir, const char *newname, unsigned int flags)
{
	if (load_dir_own_name(name) || load_dir_own_name(newname))
		return fs_error(req, EPERM, "%s is the filesystem's own name here",
				load_dir_own_name(name) ? name : newname);
	if (dir->ops != &load_dir_ops && tree_load_dir_at(fs_node_fd(dir), name))
		return fs_error(req, EPERM,
				"a load directory keeps its name: move the programs in it, or load "
				"into another one");
	if (newdir->ops == &progs_dir_ops && tree_load_dir_at(fs_node_fd(newdir), newname))
		return fs_error(req, EEXIST, "%s is a load directory", newname);
	return objdir_rename(dir, req, name, newdir, newname, flags);
}

#define PROGS_DIR_FNS                                                                           \
	.type = S_IFDIR, .rows = progs_attrs, .nr_rows = LOAD_DIR_ROWS, .lookup = progs_lookup, \
	.readdir = progs_readdir, .release = user_release, .mkdir = progs_mkdir,                \
	.unlink = progs_unlink, .rmdir = progs_rmdir, .rename = progs_rename

const struct fs_node_ops progs_dir_ops = {.name = "progs", .stable = true, PROGS_DIR_FNS};
FS_KIND(progs_dir_ops, "progs");
static const struct fs_node_ops load_dir_ops = {
	.name = "load directory", .stable = true, PROGS_DIR_FNS};
FS_KIND(load_dir_ops, "load directory");
