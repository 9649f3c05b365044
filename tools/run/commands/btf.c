/*
 * btf.c - bpf(2)'s command that loads types
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/run/commands/btf.h"
#include "tools/run/commands/object.h"

#define MAX_BTF (16u << 20) /* bytes, as Linux */

int run_btf_id(struct caller *c, int fd, uint32_t *id)
{
	struct object obj;
	int err = object_of_fd(c, fd, UBPFFS_BTF, &obj);

	if (!err)
		*id = obj.btf.id;
	object_end(&obj);
	return err;
}

static long load(const void *data, size_t len, uint32_t *id, int ctl)
{
	struct ubpffs_io io = {.out_len = sizeof(*id)};

	return mount_command(ctl, UBPFFS_BTF_LOAD, &io, data, len, id);
}

/* A refusal has one sentence; the kernel has many, with the type's number. */
static int put_log(struct bpf_call *call, long ret)
{
	const char *text = ret ? "BTF is malformed\n" : "";
	uint32_t room = call->attr.btf_log_size, true_size = strlen(text) + 1;
	int err = 0;

	if (!call->attr.btf_log_level)
		return 0;
	if (room && room < true_size)
		err = caller_write(call->c, call->attr.btf_log_buf, "", 1);
	else if (room)
		err = caller_write(call->c, call->attr.btf_log_buf, text, true_size);
	if (!err && call->size >= BTF_LOAD_END)
		err = caller_write(call->c, call->uattr + BTF_LOAD_END - sizeof(uint32_t),
				   &true_size, sizeof(true_size));
	return err ? err : room && room < true_size ? -ENOSPC : 0;
}

long run_btf_load(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	uint32_t id = 0;
	void *data;
	int ctl, err;
	long ret;

	if (!run_log_ok(attr->btf_log_level, attr->btf_log_buf, attr->btf_log_size))
		return -EINVAL;
	if (attr->btf_size > MAX_BTF)
		return -E2BIG;
	if (!attr->btf_size)
		return -EINVAL;
	ret = caller_copy(call->c, attr->btf, attr->btf_size, MAX_BTF, &data);
	if (ret)
		return ret;
	ret = ctl = mount_open("ctl", O_RDWR);
	if (ctl >= 0) {
		ret = load(data, attr->btf_size, &id, ctl);
		if (!ret || ret == -EINVAL) {
			err = put_log(call, ret);
			ret = err ? err : ret;
		}
		if (!ret)
			ret = give_object(call->c, "btf", id, O_RDONLY);
		close(ctl);
	}
	free(data);
	return ret;
}
