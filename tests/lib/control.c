/*
 * control.c - see control.h
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/fuse/open.h"
#include "fs/ioctl/ioctl.h"
#include "fs/store/objects/object.h"
#include "fs/store/node_object.h"
#include "fs/store/state/state_tree.h"
#include "tests/lib/control.h"
#include "tests/lib/state.h"

u64 control_test_unique;
bool control_test_cancel;
char control_why[256];

#define OPS(kind)                                                                \
	{                                                                        \
		.name = "object", .type = S_IFREG, .open = control_open,         \
		.release = control_release, .command = control_##kind##_command, \
		.ioctl = control_ioctl, .free = store_node_free,                 \
	}

static const struct fs_node_ops file_ops[] = {
	[STORE_PROG] = OPS(prog), [STORE_MAP] = OPS(map), [STORE_LINK] = OPS(link)};
static const struct fs_attr ctl_row[] = {{"ctl", 0666, &ctl_ops, 0}};

struct fs_open *control_test_open(struct store_object *obj, const struct fs_cred *cred, int flags)
{
	struct fs_req req = {.cred = *cred};
	struct fuse_file_info fi = {.flags = flags};
	struct fs_node *node;

	tree_rdlock();
	if (obj) {
		assert_int_equal(fs_node_tree(state_root, "file", obj->ino, obj->id,
					      &file_ops[obj->kind], &node),
				 0);
		store_bind(node, obj);
	} else {
		assert_int_equal(fs_node_attr(state_root, ctl_row, 0, &node), 0);
	}
	tree_unlock();
	assert_int_equal(fs_open_new(&req, node, &fi, false), 0);
	fs_node_put(node);
	return fs_open_of(&fi);
}

void control_test_close(struct fs_open *open)
{
	fs_open_free(open);
}

int control_test_call(struct fs_open *open, u32 cmd, struct ubpffs_io *io, const void *in,
		      size_t in_len, void *out, size_t room)
{
	const struct fs_command *command = open->node->ops->command(UBPFFS_IOC(cmd, sizeof(*io)));
	struct fs_req req = {
		.cred = open->opener, .unique = control_test_unique, .cancel = control_test_cancel};
	size_t payload = io->xfer && cmd < UBPFFS_PUT ? 0 : in_len;
	size_t answer = io->xfer && cmd < UBPFFS_PUT ? 0 : room, out_len = sizeof(*io) + answer;
	char *buf = calloc(1, sizeof(*io) + payload), *reply = calloc(1, out_len);
	int ret;

	if (!command) {
		free(buf);
		free(reply);
		return -ENOTTY;
	}
	io->in_len = in_len;
	io->out_len = room;
	memcpy(buf, io, sizeof(*io));
	if (payload)
		memcpy(buf + sizeof(*io), in, payload);
	ret = open->node->ops->ioctl(open, &req, command, buf, sizeof(*io) + payload, reply,
				     &out_len);
	memcpy(io, reply, sizeof(*io));
	assert_int_equal(io->in_len, UBPFFS_ANSWERED);
	assert_true(out_len <= sizeof(*io) + answer);
	if (out_len > sizeof(*io))
		memcpy(out, reply + sizeof(*io), out_len - sizeof(*io));
	snprintf(control_why, sizeof(control_why), "%s", req.error.why ? req.error.why : "");
	error_clear(&req.error);
	fs_node_unpin();
	free(buf);
	free(reply);
	return ret;
}
