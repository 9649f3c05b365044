/*
 * test_ops.c - fs/fuse/ops.c and fuse.c: names, attributes and directories, as the kernel asks for
 * them
 *
 * The tree is the test's own: a directory of rows, and one of the (temporary) state that notes what
 * it was asked for.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/fuse/fuse.h"
#include "fs/lib/metrics.h"
#include "fs/node/backing.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/state_open.h"
#include "fs/store/state/state_tree.h"
#include "tests/lib/state.h"
#include "tests/lib/wire.h"

#define ROOT 1

static int answer_of_kind; /* what the directory's handlers return */
static char asked[256]; /* and what they were called with */

static int note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(asked, sizeof(asked), fmt, args);
	va_end(args);
	return answer_of_kind;
}

static int show_text(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	if (answer_of_kind)
		return fs_error(req, -answer_of_kind, "the text fails");
	fs_text_printf(out, "hello %ld\n", node->attr->arg);
	return 0;
}

static u64 slow_size(struct fs_node *node, struct fs_req *req)
{
	return 77;
}

static int never(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	fail_msg("a slow text was made for its size");
	return 0;
}

static int target(struct fs_node *node, struct fs_req *req, char *buf, size_t len)
{
	snprintf(buf, len, "else/where");
	return 0;
}

static const struct fs_node_ops text_ops = {.name = "text", .type = S_IFREG, .show = show_text},
				slow_ops = {.name = "slow",
					    .type = S_IFREG,
					    .slow = true,
					    .show = never,
					    .size = slow_size},
				link_ops = {.name = "link", .type = S_IFLNK, .readlink = target},
				rows_ops = {.name = "rows", .type = S_IFDIR, .stable = true};

static const struct fs_attr rows[] = {
	{"text", 0444, &text_ops, 3}, {"slow", 0666, &slow_ops, 0},  {"link", 0777, &link_ops, 0},
	{"dir", 0777, &rows_ops, 0},  {"write", 0222, &text_ops, 4},
};

static int lookup(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node **out);

static int dir_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		     struct fs_node **out)
{
	int err = note("mkdir %s %o", name, mode);

	return err ? err : lookup(dir, req, "sub", out);
}

static int dir_symlink(struct fs_node *dir, struct fs_req *req, const char *name, const char *to,
		       struct fs_node **out)
{
	int err = note("symlink %s %s", name, to);

	return err ? err : lookup(dir, req, "link", out);
}

static int dir_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return note("unlink %s", name);
}

static int dir_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return note("rmdir %s", name);
}

static int dir_link(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *node,
		    struct fs_node **out)
{
	int err = note("link %s %s", name, node->ops->name);

	return err ? err : lookup(dir, req, "text", out);
}

static int dir_rename(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node *newdir, const char *newname, unsigned int flags)
{
	return note("rename %s %s %s %u", name, newdir->ops->name, newname, flags);
}

static int dir_create(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		      int flags, struct fs_node **out)
{
	int err = note("create %s %o %o", name, mode, flags & O_ACCMODE);

	return err ? err : lookup(dir, req, "text", out);
}

#define NR_NAMES 50

static int dir_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
		       void *arg)
{
	char name[16];

	if (answer_of_kind)
		return answer_of_kind;
	for (; cursor < NR_NAMES; cursor++) {
		snprintf(name, sizeof(name), "name%02u", (u32)cursor);
		if (!emit(arg, name, cursor + 1, S_IFREG, 1000 + cursor))
			break;
	}
	return 0;
}

static const struct fs_node_ops dir_ops = {.name = "directory",
					   .type = S_IFDIR,
					   .lookup = lookup,
					   .mkdir = dir_mkdir,
					   .symlink = dir_symlink,
					   .unlink = dir_unlink,
					   .rmdir = dir_rmdir,
					   .link = dir_link,
					   .rename = dir_rename,
					   .create = dir_create,
					   .readdir = dir_readdir};

static int lookup(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node **out)
{
	struct stat st;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(name, rows[i].name))
			return fs_node_attr(dir, rows, i, out);
	if (fstatat(fs_node_fd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return fs_node_tree(dir, name, st.st_ino, 0, S_ISDIR(st.st_mode) ? &dir_ops : &text_ops,
			    out);
}

static char dir[32];
static struct fs_node *root;
static int chown_answer;

static int set_owner(struct fs_node *node, uid_t uid, gid_t gid, struct error_record *why)
{
	snprintf(asked, sizeof(asked), "chown %d %d", (int)uid, (int)gid);
	return chown_answer;
}

static int begin(void **state)
{
	struct error_record why = {0};

	strcpy(dir, "/tmp/ubpffs-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(tree_open(dir, "/m", &why), 0);
	assert_int_equal(fs_node_root(&dir_ops, &root), 0);
	fs_backing.chown = set_owner;
	wire_begin();
	return 0;
}

/* A directory of a case's own; nodes of others are the kernel's still. */
static int before(void **state)
{
	answer_of_kind = chown_answer = 0;
	return mkdirat(tree.tree_fd, "sub", 0755);
}

static int after(void **state)
{
	tree_wrlock();
	tree_rmdir(tree.tree_fd, "sub", NULL);
	tree_unlock();
	return 0;
}

static int end(void **state)
{
	char command[64];

	wire_end();
	fs_node_unpin();
	fs_node_put(root);
	tree_close();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct wire_answer answer;

static const struct fuse_entry_out *entry_of(const char *name)
{
	assert_int_equal(wire_name(FUSE_LOOKUP, ROOT, name, &answer), 0);
	assert_int_equal(answer.len, sizeof(struct fuse_entry_out));
	return (const struct fuse_entry_out *)answer.data;
}

static void forget(u64 node, u64 times)
{
	struct fuse_forget_in in = {.nlookup = times};

	wire_send(FUSE_FORGET, node, &in, sizeof(in), NULL, 0);
}

static s32 getattr(u64 node, struct fuse_attr *attr)
{
	struct fuse_getattr_in in = {0};
	s32 err = wire_call(FUSE_GETATTR, node, &in, sizeof(in), NULL, 0, &answer);

	*attr = ((const struct fuse_attr_out *)answer.data)->attr;
	return err;
}

/* What M/log says at the end. */
static void assert_said(const char *op, const char *sentence)
{
	struct fs_text log = {0};
	char line[512];

	error_log_print(wire_uid, &log);
	assert_non_null(log.buf);
	snprintf(line, sizeof(line), ": %s: %s", op, sentence);
	assert_non_null(strstr(log.buf, line));
	fs_text_free(&log);
}

static void the_session_wants_nothing_that_nodes_do_not_bear(void **state)
{
	assert_int_equal(wire_init_flags & (FUSE_ATOMIC_O_TRUNC | FUSE_ASYNC_DIO |
					    FUSE_WRITEBACK_CACHE | FUSE_DO_READDIRPLUS),
			 0);
}

static void a_lookup_gives_the_kernel_a_reference(void **state)
{
	const struct fuse_entry_out *entry = entry_of("text");
	u64 id = entry->nodeid, nodes = fs_nodes_count();

	assert_int_equal(entry->attr.mode, S_IFREG | 0444);
	assert_int_equal(entry->attr.size, 8); /* "hello 3\n" */
	assert_int_equal(entry->attr.ino, entry_of("text")->attr.ino);
	assert_int_equal(entry_of("text")->nodeid, id);
	forget(id, 2);
	assert_int_equal(fs_nodes_count(), nodes); /* three lookups */
	forget(id, 1);
	assert_int_equal(fs_nodes_count(), nodes - 1);
	assert_int_equal(wire_name(FUSE_LOOKUP, ROOT, "none", &answer), -ENOENT);
	assert_int_equal(wire_name(FUSE_LOOKUP, 123456, "x", &answer), -ESTALE);
	forget(123456, 1); /* of what is not known */
	forget(ROOT, 1000);
	assert_int_equal(wire_name(FUSE_LOOKUP, ROOT, "text", &answer), 0); /* the root stays */
	id = ((const struct fuse_entry_out *)answer.data)->nodeid;
	assert_int_equal(wire_name(FUSE_LOOKUP, id, "x", &answer), -ENOTDIR);
	forget(id, 1);
}

static void many_are_forgotten_at_once(void **state)
{
	u64 nodes = fs_nodes_count();
	struct fuse_forget_one one[2];
	struct fuse_batch_forget_in in = {.count = 2};

	one[0] = (struct fuse_forget_one){entry_of("text")->nodeid, 1};
	one[1] = (struct fuse_forget_one){entry_of("slow")->nodeid, 1};
	assert_int_equal(fs_nodes_count(), nodes + 2);
	wire_send(FUSE_BATCH_FORGET, 0, &in, sizeof(in), one, sizeof(one));
	assert_int_equal(fs_nodes_count(), nodes);
}

/* A caller that was killed before its answer: the kernel has no reference then. */
static void a_lost_answer_leaves_no_reference(void **state)
{
	u64 nodes = fs_nodes_count(), unique;
	struct fuse_create_in create = {.flags = O_RDWR, .mode = 0644};
	u64 opens = fs_metrics.opens;

	wire_lose_next();
	assert_int_equal(wire_name(FUSE_LOOKUP, ROOT, "text", &answer), 0);
	assert_int_equal(fs_nodes_count(), nodes);
	wire_lose_next();
	unique = wire_send(FUSE_CREATE, ROOT, &create, sizeof(create), "new", 4);
	assert_int_equal(wire_wait(unique, &answer), 0);
	assert_int_equal(fs_nodes_count(), nodes);
	assert_int_equal(fs_metrics.opens, opens);
}

static void how_long_the_kernel_may_believe(void **state)
{
	const struct fuse_entry_out *entry = entry_of("dir");

	assert_int_equal(entry->entry_valid, 1); /* stable */
	assert_int_equal(entry->attr_valid, 1);
	entry = entry_of("text");
	assert_int_equal(entry->entry_valid, 0);
	assert_int_equal(entry->entry_valid_nsec, 0);
	assert_int_equal(entry->attr_valid, 0);
	assert_int_not_equal(entry->attr_valid_nsec, 0); /* for the check that follows */
}

static void rows_have_the_directorys_bits_under_theirs(void **state)
{
	struct fuse_attr attr;
	u64 text = entry_of("text")->nodeid, slow = entry_of("slow")->nodeid,
	    d = entry_of("dir")->nodeid, link = entry_of("link")->nodeid,
	    writes = entry_of("write")->nodeid;

	assert_return_code(fchmodat(tree.dir_fd, "tree", 0750, 0), errno);
	assert_int_equal(getattr(text, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0440);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(attr.size, 8);
	assert_int_equal(attr.blocks, 1);
	assert_int_equal(attr.uid, geteuid());
	assert_int_equal(getattr(writes, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0200);
	assert_int_equal(getattr(slow, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.size, 77); /* its text is not made for that */
	assert_int_equal(getattr(d, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0750); /* who may read it may reach into it */
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(getattr(link, &attr), 0);
	assert_int_equal(attr.mode, S_IFLNK | 0777);
	assert_return_code(fchmodat(tree.dir_fd, "tree", 0711, 0), errno);
	assert_int_equal(getattr(text, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0400);
	answer_of_kind = -EIO; /* a text that cannot be made has no size, and stat works */
	assert_int_equal(getattr(text, &attr), 0);
	assert_int_equal(attr.size, 0);
	assert_return_code(fchmodat(tree.dir_fd, "tree", 0755, 0), errno);
}

static void what_was_removed_is_shown_as_it_was(void **state)
{
	struct fuse_attr attr;
	u64 id = entry_of("sub")->nodeid;

	assert_int_equal(getattr(id, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0755);
	tree_wrlock();
	assert_int_equal(tree_rmdir(tree.tree_fd, "sub", NULL), 0);
	tree_unlock();
	assert_int_equal(getattr(id, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0755);
	assert_int_equal(attr.nlink, 0);
}

static s32 setattr(u64 node, const struct fuse_setattr_in *in, struct fuse_attr *attr)
{
	s32 err = wire_call(FUSE_SETATTR, node, in, sizeof(*in), NULL, 0, &answer);

	*attr = ((const struct fuse_attr_out *)answer.data)->attr;
	return err;
}

static void bits_times_and_owners_are_set(void **state)
{
	u64 sub = entry_of("sub")->nodeid, text = entry_of("text")->nodeid;
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = S_IFDIR | 07777};
	struct fuse_attr attr;

	assert_int_equal(setattr(sub, &in, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 03777); /* no set-user-id */
	in = (struct fuse_setattr_in){
		.valid = FATTR_ATIME | FATTR_MTIME, .atime = 100, .atimensec = 5, .mtime = 200};
	assert_int_equal(setattr(sub, &in, &attr), 0);
	assert_int_equal(attr.atime, 100);
	assert_int_equal(attr.atimensec, 5);
	assert_int_equal(attr.mtime, 200);
	in = (struct fuse_setattr_in){.valid = FATTR_MTIME, .mtime = 300};
	assert_int_equal(setattr(sub, &in, &attr), 0);
	assert_int_equal(attr.atime, 100);
	assert_int_equal(attr.mtime, 300);
	in = (struct fuse_setattr_in){.valid = FATTR_MTIME | FATTR_MTIME_NOW};
	assert_int_equal(setattr(sub, &in, &attr), 0);
	assert_true(attr.mtime > 1000000000);
	in = (struct fuse_setattr_in){.valid = FATTR_ATIME | FATTR_ATIME_NOW};
	assert_int_equal(setattr(sub, &in, &attr), 0);
	assert_true(attr.atime > 1000000000);
	in = (struct fuse_setattr_in){.valid = FATTR_UID, .uid = 7, .gid = 8};
	assert_int_equal(setattr(sub, &in, &attr), 0);
	assert_string_equal(asked, "chown 7 -1");
	in.valid = FATTR_GID;
	assert_int_equal(setattr(sub, &in, &attr), 0);
	assert_string_equal(asked, "chown -1 8");
	chown_answer = -EDQUOT;
	in = (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_MODE, .uid = 7, .mode = 0};
	assert_int_equal(setattr(sub, &in, &attr), -EDQUOT);
	in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 12345}; /* a shell's > */
	assert_int_equal(setattr(text, &in, &attr), 0);
	assert_int_equal(attr.size, 8);
	*asked = 0;
	in = (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_MODE, .uid = 7, .mode = 0};
	assert_int_equal(setattr(text, &in, &attr), 0); /* a row's are its directory's */
	assert_string_equal(asked, "");
	assert_int_equal(attr.mode, S_IFREG | 0444);
}

static s32 with_name(u32 opcode, const void *in, size_t len, const char *name)
{
	return wire_call(opcode, ROOT, in, len, name, strlen(name) + 1, &answer);
}

static void changes_reach_the_directorys_kind(void **state)
{
	struct fuse_mkdir_in mkdir_in = {.mode = 0750};
	struct fuse_rename2_in rename2 = {.newdir = entry_of("sub")->nodeid, .flags = 1};
	struct fuse_rename_in rename = {.newdir = ROOT};
	struct fuse_link_in link = {.oldnodeid = entry_of("slow")->nodeid};
	char names[] = "old\0new";

	assert_int_equal(with_name(FUSE_MKDIR, &mkdir_in, sizeof(mkdir_in), "a"), 0);
	assert_string_equal(asked, "mkdir a 750");
	assert_int_equal(wire_call(FUSE_SYMLINK, ROOT, "l\0to/there", 11, NULL, 0, &answer), 0);
	assert_string_equal(asked, "symlink l to/there");
	assert_int_equal(wire_name(FUSE_UNLINK, ROOT, "b", &answer), 0);
	assert_string_equal(asked, "unlink b");
	assert_int_equal(wire_name(FUSE_RMDIR, ROOT, "c", &answer), 0);
	assert_string_equal(asked, "rmdir c");
	assert_int_equal(wire_call(FUSE_RENAME2, ROOT, &rename2, sizeof(rename2), names,
				   sizeof(names), &answer),
			 0);
	assert_string_equal(asked, "rename old directory new 1");
	assert_int_equal(wire_call(FUSE_RENAME, ROOT, &rename, sizeof(rename), names, sizeof(names),
				   &answer),
			 0);
	assert_string_equal(asked, "rename old directory new 0");
	rename.newdir = 999999;
	assert_int_equal(wire_call(FUSE_RENAME, ROOT, &rename, sizeof(rename), names, sizeof(names),
				   &answer),
			 -ESTALE);
	assert_int_equal(with_name(FUSE_LINK, &link, sizeof(link), "d"), 0);
	assert_string_equal(asked, "link d slow");
	link.oldnodeid = 999999;
	assert_int_equal(with_name(FUSE_LINK, &link, sizeof(link), "d"), -ESTALE);
	answer_of_kind = -EBUSY;
	assert_int_equal(wire_name(FUSE_RMDIR, ROOT, "c", &answer), -EBUSY);
	assert_said("rmdir", "EBUSY: Device or resource busy");
}

static void what_a_kind_does_not_do_is_eperm_with_a_sentence(void **state)
{
	u64 d = entry_of("dir")->nodeid; /* has no handlers */
	struct fuse_mkdir_in mkdir_in = {.mode = 0750};
	struct fuse_rename_in rename = {.newdir = d};
	struct fuse_link_in link = {.oldnodeid = d};
	struct fuse_mknod_in mknod_in = {.mode = S_IFREG | 0644};
	struct fuse_create_in create = {.flags = O_RDWR, .mode = 0644};

	assert_int_equal(wire_call(FUSE_MKDIR, d, &mkdir_in, sizeof(mkdir_in), "a", 2, &answer),
			 -EPERM);
	assert_said("mkdir", "EPERM: the names in this directory are the filesystem's own");
	assert_int_equal(wire_call(FUSE_SYMLINK, d, "l\0t", 4, NULL, 0, &answer), -EPERM);
	assert_int_equal(wire_name(FUSE_UNLINK, d, "b", &answer), -EPERM);
	assert_int_equal(wire_name(FUSE_RMDIR, d, "c", &answer), -EPERM);
	assert_int_equal(wire_call(FUSE_RENAME, d, &rename, sizeof(rename), "a\0b", 4, &answer),
			 -EPERM);
	assert_int_equal(wire_call(FUSE_LINK, d, &link, sizeof(link), "a", 2, &answer), -EPERM);
	assert_int_equal(wire_call(FUSE_CREATE, d, &create, sizeof(create), "a", 2, &answer),
			 -EPERM);
	assert_said("create", "EPERM: plain files are not made here");
	assert_int_equal(wire_call(FUSE_MKNOD, ROOT, &mknod_in, sizeof(mknod_in), "a", 2, &answer),
			 -EPERM);
	assert_said("mknod", "EPERM: plain files are not made here");
}

/* What has no name outside of the kernel is EIO; of 512 and more the caller would hang. */
static void errors_are_ones_that_the_kernel_takes(void **state)
{
	static const struct {
		int kind, kernel;
	} cases[] = {{-524, -EOPNOTSUPP}, {-512, -EIO},	    {-4096, -EIO},
		     {-511, -EIO},	  {-EXDEV, -EXDEV}, {-EHWPOISON, -EHWPOISON}};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		answer_of_kind = cases[i].kind;
		assert_int_equal(wire_name(FUSE_UNLINK, ROOT, "b", &answer), cases[i].kernel);
	}
}

static int is_lost(struct error_record *why)
{
	return error_set(why, EIO, "the state is gone");
}

static void where_all_is_gone_nothing_is_just_absent(void **state)
{
	int (*lost)(struct error_record *) = fs_backing.lost;
	struct fuse_read_in in = {.size = 4096};

	assert_int_equal(wire_open(ROOT, O_RDONLY | O_DIRECTORY, &in.fh), 0);
	fs_backing.lost = is_lost;
	assert_int_equal(wire_name(FUSE_LOOKUP, ROOT, "none", &answer), -EIO);
	assert_said("lookup", "EIO: the state is gone");
	assert_int_equal(wire_name(FUSE_LOOKUP, ROOT, "text", &answer), 0);
	assert_int_equal(wire_call(FUSE_READDIR, ROOT, &in, sizeof(in), NULL, 0, &answer), -EIO);
	fs_backing.lost = lost;
	wire_release(ROOT, in.fh);
}

/* Names of one answer; the cursor to go on with. */
static u64 take_names(char *names, u32 *nr)
{
	u64 off = 0;

	for (u32 at = 0; at < answer.len;) {
		const struct fuse_dirent *d = (const struct fuse_dirent *)(answer.data + at);

		sprintf(names + strlen(names), "%.*s ", (int)d->namelen, d->name);
		off = d->off;
		at += FUSE_DIRENT_SIZE(d);
		++*nr;
	}
	return off;
}

static void a_directory_is_listed_once_however_small_the_pieces(void **state)
{
	static const u32 sizes[] = {40, 100, 300, 65536};
	char expected[1024] = ". .. ";

	for (u32 i = 0; i < NR_NAMES; i++)
		sprintf(expected + strlen(expected), "name%02u ", i);
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fuse_read_in in = {.size = sizes[i]};
		char names[1024] = "";
		u32 nr = 0;

		assert_int_equal(wire_open(ROOT, O_RDONLY | O_DIRECTORY, &in.fh), 0);
		for (;;) {
			assert_int_equal(
				wire_call(FUSE_READDIR, ROOT, &in, sizeof(in), NULL, 0, &answer),
				0);
			assert_true(answer.len <= sizes[i]);
			if (!answer.len)
				break;
			in.offset = take_names(names, &nr);
		}
		assert_int_equal(nr, NR_NAMES + 2);
		assert_string_equal(names, expected);
		/* From the middle again, as telldir(3) promises. */
		in.offset = 2 + 10;
		in.size = 40;
		assert_int_equal(wire_call(FUSE_READDIR, ROOT, &in, sizeof(in), NULL, 0, &answer),
				 0);
		*names = 0;
		take_names(names, &nr);
		assert_string_equal(names, "name10 ");
		wire_release(ROOT, in.fh);
	}
	answer_of_kind = -ENOMEM;
	{
		struct fuse_read_in in = {.size = 4096};

		assert_int_equal(wire_open(ROOT, O_RDONLY | O_DIRECTORY, &in.fh), 0);
		assert_int_equal(wire_call(FUSE_READDIR, ROOT, &in, sizeof(in), NULL, 0, &answer),
				 -ENOMEM);
		wire_release(ROOT, in.fh);
	}
}

static void a_link_is_read(void **state)
{
	u64 link = entry_of("link")->nodeid, text = entry_of("text")->nodeid, made;

	assert_int_equal(wire_call(FUSE_READLINK, link, NULL, 0, NULL, 0, &answer), 0);
	assert_int_equal(answer.len, 10);
	assert_memory_equal(answer.data, "else/where", 10);
	assert_int_equal(wire_call(FUSE_READLINK, text, NULL, 0, NULL, 0, &answer), -EINVAL);
	assert_return_code(symlinkat("of/the/tree", tree.tree_fd, "made"), errno);
	made = entry_of("made")->nodeid;
	assert_int_equal(wire_call(FUSE_READLINK, made, NULL, 0, NULL, 0, &answer), 0);
	assert_int_equal(answer.len, 11);
	assert_memory_equal(answer.data, "of/the/tree", 11);
}

static void the_filesystem_of_the_state_is_told(void **state)
{
	assert_int_equal(wire_call(FUSE_STATFS, ROOT, NULL, 0, NULL, 0, &answer), 0);
	assert_true(((const struct fuse_statfs_out *)answer.data)->st.namelen >= 255);
}

static void a_create_opens_what_it_made(void **state)
{
	struct fuse_create_in in = {.flags = O_RDWR | O_EXCL, .mode = 0640};
	const struct fuse_entry_out *entry = (const struct fuse_entry_out *)answer.data;
	const struct fuse_open_out *opened = (const struct fuse_open_out *)(entry + 1);
	u64 opens = fs_metrics.opens;

	assert_int_equal(with_name(FUSE_CREATE, &in, sizeof(in), "n"), 0);
	assert_string_equal(asked, "create n 640 2");
	assert_int_equal(answer.len, sizeof(*entry) + sizeof(*opened));
	assert_int_equal(entry->attr.mode, S_IFREG | 0444);
	assert_true(opened->open_flags & FOPEN_DIRECT_IO);
	assert_int_equal(fs_metrics.opens, opens + 1);
	{
		u64 id = entry->nodeid, fh = opened->fh;

		assert_int_equal(wire_release(id, fh), 0);
		assert_int_equal(fs_metrics.opens, opens);
	}
	answer_of_kind = -EEXIST;
	assert_int_equal(with_name(FUSE_CREATE, &in, sizeof(in), "n"), -EEXIST);
	assert_int_equal(fs_metrics.opens, opens);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_session_wants_nothing_that_nodes_do_not_bear),
		CASE(a_lookup_gives_the_kernel_a_reference),
		CASE(many_are_forgotten_at_once),
		CASE(a_lost_answer_leaves_no_reference),
		CASE(how_long_the_kernel_may_believe),
		CASE(rows_have_the_directorys_bits_under_theirs),
		CASE(what_was_removed_is_shown_as_it_was),
		CASE(bits_times_and_owners_are_set),
		CASE(changes_reach_the_directorys_kind),
		CASE(what_a_kind_does_not_do_is_eperm_with_a_sentence),
		CASE(errors_are_ones_that_the_kernel_takes),
		CASE(where_all_is_gone_nothing_is_just_absent),
		CASE(a_directory_is_listed_once_however_small_the_pieces),
		CASE(a_link_is_read),
		CASE(the_filesystem_of_the_state_is_told),
		CASE(a_create_opens_what_it_made),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
