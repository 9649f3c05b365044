/*
 * control_call.c - what every command does with its call: the object that it is for, and the answer
 */
#include <fcntl.h>
#include <sys/random.h>
#include "fs/control_cmds.h"

/* Random for each run of the server, so that objects of two mounts, or of before a restart, do not look alike. */
static u32 stamp_base(void)
{
	static u32 base;
	u32 fresh, none = 0;

	if (!__atomic_load_n(&base, __ATOMIC_RELAXED) &&
	    getrandom(&fresh, sizeof(fresh), 0) == sizeof(fresh))
		__atomic_compare_exchange_n(&base, &none, fresh | 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	return __atomic_load_n(&base, __ATOMIC_RELAXED);
}

static int check_object(struct control_call *call)
{
	struct store_object *obj = call->control->obj;
	u32 stamp = stamp_base() + obj->id;

	if (call->io.stamp && call->io.stamp != stamp)
		return -ESTALE;
	call->io.stamp = stamp;
	return obj->broken ? fs_error(call->req, EBADMSG, "%s", obj->broken) : 0;
}

int control_map(struct control_call *call, int mode, struct bpf_map **map)
{
	int accmode = call->open->flags & O_ACCMODE;

	*map = call->control->obj->map;
	if (accmode != O_RDWR && accmode != mode)
		return -EPERM;
	return check_object(call);
}

int control_prog(struct control_call *call, struct bpf_prog **prog)
{
	*prog = call->control->obj->prog;
	return check_object(call);
}

void control_answer(struct control_call *call, const void *data, size_t len)
{
	len = min(len, call->room - call->answered);
	memcpy(call->out + call->answered, data, len);
	call->answered += len;
}
