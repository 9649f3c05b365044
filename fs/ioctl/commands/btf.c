/*
 * btf.c - the commands on types (see btf.h)
 */
#include "fs/ioctl/commands/btf.h"

#define MAX_SIZE (16u << 20) /* bytes, as Linux's BTF_MAX_SIZE */

static bool may_read(const struct control_call *call, const struct bpf_btf *btf)
{
	return !call->req->cred.uid || call->req->cred.uid == btf->uid;
}

int control_btf_by_id(struct control_call *call, u32 id, struct bpf_btf **out)
{
	struct bpf_btf *btf = bpf_btf_get_by_id(id);

	*out = NULL;
	if (!btf)
		return -EBADF;
	if (!may_read(call, btf)) {
		bpf_btf_put(btf);
		return fs_error(call->req, EACCES, "the types %u are somebody else's", id);
	}
	*out = btf;
	return 0;
}

u32 control_btf_id(const struct control_call *call, const struct bpf_btf *btf)
{
	return btf && may_read(call, btf) ? btf->id : 0;
}

static int load(struct control_call *call, struct bpf_btf **btf)
{
	int err = bpf_btf_new(call->in, call->in_len, btf);

	if (err)
		return err == -EINVAL ? fs_error(call->req, EINVAL, "the types are malformed")
				      : err;
	err = bpf_btf_publish(*btf, call->req->cred.uid);
	if (err)
		bpf_btf_put(*btf);
	return err;
}

/* What ctl holds is charged to its opener: the bytes, and about as much for their index. */
int control_btf_load(struct control_call *call)
{
	const u64 bytes = 2 * (u64)call->in_len;
	struct bpf_btf *btf;
	int err;

	if (!call->in_len)
		return -EINVAL;
	if (call->in_len > MAX_SIZE)
		return -E2BIG;
	err = fs_open_hold(call->open, bytes, fs_why(call->req));
	if (err)
		return err;
	err = load(call, &btf);
	if (err) {
		fs_open_let(call->open, bytes);
		return err;
	}
	control_answer(call, &btf->id, sizeof(btf->id));
	control_hold(call->open, NULL, NULL, btf, bytes);
	return 0;
}

int control_btf_data(struct control_call *call)
{
	u32 size;
	const void *data = bpf_btf_raw(call->control->btf, &size);

	if (!data)
		return -ENOMEM;
	control_answer(call, data, size);
	return 0;
}

int control_btf_info(struct control_call *call)
{
	struct bpf_btf_info info = {.id = call->control->btf->id};

	bpf_btf_raw(call->control->btf, &info.btf_size);
	call->io.flags = UBPFFS_BTF;
	control_answer(call, &info, sizeof(info));
	return 0;
}

int control_btf_next_id(struct control_call *call)
{
	u32 id = bpf_btf_next_id(call->io.count);

	if (!id)
		return -ENOENT;
	control_answer(call, &id, sizeof(id));
	return 0;
}
