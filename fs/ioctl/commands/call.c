/*
 * call.c - what every command does with its call: the object that it is for, and the answer
 */
#include <ctype.h>
#include <fcntl.h>
#include <sys/random.h>
#include "btf/btf.h"
#include "fs/ioctl/commands/call.h"
#include "fs/keeper/shared.h"
#include "fs/store/objects/asleep.h"

/*
 * Random for each run of the server (with a keeper: for all that serve one mount), so that objects
 * of two mounts, or of before a restart, do not look alike.
 */
static u32 stamp_base(void)
{
	static u32 own;
	u32 fresh, none = 0, *base = shared ? &shared->stamp : &own;

	if (!__atomic_load_n(base, __ATOMIC_RELAXED) &&
	    getrandom(&fresh, sizeof(fresh), 0) == sizeof(fresh))
		__atomic_compare_exchange_n(base, &none, fresh | 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	return __atomic_load_n(base, __ATOMIC_RELAXED);
}

static int check_object(struct control_call *call)
{
	struct store_object *obj = call->control->obj;
	u32 stamp = stamp_base() + obj->id;
	int err;

	if (call->io.stamp && call->io.stamp != stamp)
		return -ESTALE;
	call->io.stamp = stamp;
	err = store_wake(obj);
	if (err)
		return err;
	return obj->broken ? fs_error(call->req, EBADMSG, "%s", obj->broken) : 0;
}

/* open(2) with 3 asks for both rights and gives a descriptor that has neither. */
static bool may(const struct control_call *call, int mode)
{
	int accmode = READ_ONCE(call->open->flags) & O_ACCMODE;

	return mode == CONTROL_ANY || accmode == O_RDWR || accmode == mode;
}

int control_map(struct control_call *call, int mode, struct bpf_map **map)
{
	int err = may(call, mode) ? check_object(call) : -EPERM;

	*map = err ? NULL : call->control->obj->map;
	return err;
}

int control_prog(struct control_call *call, int mode, struct bpf_prog **prog)
{
	int err = may(call, mode) ? check_object(call) : -EPERM;

	*prog = err ? NULL : call->control->obj->prog;
	return err;
}

int control_link(struct control_call *call, int mode, struct store_object **link)
{
	*link = call->control->obj;
	return may(call, mode) ? check_object(call) : -EPERM;
}

void control_hold(struct fs_open *open, struct bpf_prog *prog, struct bpf_map *map,
		  struct bpf_btf *btf, u64 btf_bytes)
{
	struct control *c = open->priv;
	struct bpf_prog *old_prog;
	struct bpf_map *old_map;
	struct bpf_btf *old_btf;
	u64 old_bytes;

	pthread_mutex_lock(&c->lock);
	old_prog = c->held_prog;
	old_map = c->held_map;
	old_btf = c->held_btf;
	old_bytes = c->btf_bytes;
	c->held_prog = prog;
	c->held_map = map;
	c->held_btf = btf;
	c->btf_bytes = btf_bytes;
	pthread_mutex_unlock(&c->lock);
	if (old_prog)
		bpf_prog_put(old_prog);
	if (old_map)
		bpf_map_put(old_map);
	bpf_btf_put(old_btf);
	fs_open_let(open, old_bytes);
}

bool control_name_ok(const char *name)
{
	size_t i;

	for (i = 0; i < BPF_OBJ_NAME_LEN && name[i]; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' && name[i] != '.')
			return false;
	return i < BPF_OBJ_NAME_LEN;
}

void control_answer(struct control_call *call, const void *data, size_t len)
{
	len = min(len, call->room - call->answered);
	memcpy(call->out + call->answered, data, len);
	call->answered += len;
}

int control_server_user(struct control_call *call)
{
	if (call->req->cred.uid == geteuid())
		return 0;
	return fs_error(call->req, EACCES,
			"programs run in another process only for the server's own user (uid %u)",
			geteuid());
}
