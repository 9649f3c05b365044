/*
 * link.c - the commands on links (see link.h)
 */
#include <fcntl.h>
#include <stdio.h>
#include "util/hex.h"
#include "fs/ioctl/commands/link.h"
#include "fs/store/link.h"
#include "fs/store/resolve.h"

static int prog_by_id(struct control_call *call, u32 id, int mask, struct store_object **out)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", id);
	return resolve_object(call->req, STORE_PROG, text, mask, out);
}

int control_link_update(struct control_call *call)
{
	struct store_object *link, *prog = NULL, *old = NULL;
	struct ubpffs_attach args;
	int err = control_link(call, O_WRONLY, &link);

	if (!err && call->in_len != sizeof(args))
		err = -EINVAL;
	if (err)
		return err;
	memcpy(&args, call->in, sizeof(args));
	err = prog_by_id(call, args.prog_id, RESOLVE_USE, &prog);
	if (!err && args.old_id)
		err = prog_by_id(call, args.old_id, RESOLVE_READ, &old);
	if (!err)
		err = store_link_update(link, prog->prog, old ? old->prog : NULL);
	store_put(prog);
	store_put(old);
	return err;
}

int control_link_detach(struct control_call *call)
{
	struct store_object *link;
	int err = control_link(call, O_WRONLY, &link);

	return err ? err : store_link_detach(link);
}

int control_link_info(struct control_call *call)
{
	struct bpf_link_info info = {.type = BPF_LINK_TYPE_CGROUP};
	struct store_object *link;
	struct link_state state;
	int err = control_link(call, CONTROL_ANY, &link);

	if (err)
		return err;
	store_link_state(link, &state);
	info.id = link->id;
	info.prog_id = state.prog_id;
	info.cgroup.cgroup_id = state.cgroup_id;
	info.cgroup.attach_type = state.attach_type;
	call->io.flags = UBPFFS_LINK;
	control_answer(call, &info, sizeof(info));
	return 0;
}

/* As bpf_link_show_fdinfo() and bpf_cgroup_link_show_fdinfo(). */
int control_link_fdinfo(struct control_call *call, char *text, size_t size)
{
	char tag[2 * BPF_TAG_SIZE + 1], *at = tag;
	struct store_object *link;
	struct link_state state;
	u8 bytes[BPF_TAG_SIZE];
	int err = control_link(call, CONTROL_ANY, &link);

	if (err)
		return err;
	store_link_state(link, &state);
	store_link_tag(link, bytes);
	for (u32 i = 0; i < BPF_TAG_SIZE; i++)
		at = hex_byte(at, bytes[i]);
	*at = 0;
	return snprintf(text, size,
			"link_type:\tcgroup\nlink_id:\t%u\nprog_tag:\t%s\nprog_id:\t%u\n"
			"cgroup_id:\t%llu\nattach_type:\t%u\n",
			link->id, tag, state.prog_id, (unsigned long long)state.cgroup_id,
			state.attach_type);
}
