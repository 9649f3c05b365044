/*
 * ioctl.c - how a command comes in and goes out: headers, transfers, dispatch (see ioctl/ioctl.h)
 *
 * A command is a row of a table: its number, which file it belongs to, its function. The function
 * sees a payload and room for an answer, wherever they came from. What the commands do: see
 * ioctl/commands/.
 *
 * Locking: control->lock guards the list of transfers; a transfer that a command works on is taken
 * out of the list meanwhile, so two commands never share one.
 */
#include <sys/ioctl.h>
#include "fs/ioctl/commands/btf.h"
#include "fs/ioctl/ioctl.h"
#include "fs/ioctl/commands/link.h"
#include "fs/ioctl/commands/object.h"
#include "fs/ioctl/commands/map.h"
#include "fs/ioctl/commands/prog.h"
#include "fs/keeper/records.h"

#include <fcntl.h>
#include "fs/ioctl/commands/prog_parts.h"
#include "fs/ioctl/upgrade.h"
#include "fs/store/node_object.h"
#include "fs/store/objects/asleep.h"
#include "map/ring/perf_event_array.h"
#include "map/syscall.h"

#define MAX_XFERS 64 /* of one open description */

struct xfer {
	u64 id;
	char *buf;
	size_t len, cap;
	struct xfer *next;
};

static u64 btf_bytes(const struct bpf_btf *btf)
{
	u32 size = 0;

	bpf_btf_raw(btf, &size);
	return 2 * (u64)size;
}

/* obj or btf: what was opened, which is taken over. */
static int open_control(struct fs_open *open, struct fs_req *req, struct store_object *obj,
			struct bpf_btf *btf)
{
	struct control *c = NULL;
	int err = fs_open_keep_groups(open, req);

	if (!err && btf)
		err = fs_open_hold(open, btf_bytes(btf), fs_why(req));
	if (!err) {
		c = calloc(1, sizeof(*c));
		err = c ? 0 : -ENOMEM;
	}
	if (err) {
		store_put(obj);
		bpf_btf_put(btf);
		return err;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->obj = obj;
	c->btf = btf;
	open->slow = obj && obj->map && bpf_map_value_size(obj->map) > FS_LARGE_VALUE;
	open->priv = c;
	return 0;
}

int control_open(struct fs_open *open, struct fs_req *req)
{
	struct store_object *obj = NULL;
	int err = open->node->ops == &ctl_ops ? 0 : store_of_node(open->node, &obj);

	if (!err && obj && obj->broken) {
		err = fs_error(req, EBADMSG, "%s", obj->broken);
		store_put(obj);
	}
	return err ? err : open_control(open, req, obj, NULL);
}

int control_open_types(struct fs_open *open, struct fs_req *req, struct bpf_btf *btf)
{
	return open_control(open, req, NULL, btf);
}

/* Transfers and walks are not kept: a command that goes on with one fails. */
void control_keep(struct fs_open *open, struct kept *kept)
{
	struct control *c = open->priv;

	pthread_mutex_lock(&c->lock);
	kept->v[0] = c->token;
	kept->v[1] = c->xfers != NULL || c->lost_xfers;
	kept->v[2] = c->next_walk;
	kept->lost = c->held_btf != NULL;
	kept->object = c->held_prog ? c->held_prog->id : c->held_map ? c->held_map->id : 0;
	pthread_mutex_unlock(&c->lock);
}

void control_restore(struct fs_open *open, const struct kept *kept)
{
	struct control *c = open->priv;
	struct store_object *obj;

	if (kept->v[0] && c->obj && c->obj->map)
		control_restore_token(c, kept->v[0], (open->flags & O_ACCMODE) == O_RDONLY);
	c->lost_xfers = kept->v[1];
	c->lost_walks = kept->v[2];
	c->next_walk = kept->v[2];
	if (!kept->object || (store_by_id(STORE_PROG, kept->object, &obj) &&
			      store_by_id(STORE_MAP, kept->object, &obj)))
		return;
	if (store_wake(obj) || obj->broken)
		store_put(obj);
	else
		control_hold(open, obj->prog, obj->map, NULL, 0);
}

static int no_xfer(struct control_call *call, int err)
{
	if (!call->control->lost_xfers)
		return err;
	return fs_error(call->req, EIO,
			"the server was replaced in the middle of a transfer: begin it again");
}

static void free_xfer(struct fs_open *open, struct xfer *x)
{
	if (x) {
		fs_open_let(open, x->cap);
		free(x->buf);
	}
	free(x);
}

void control_release(struct fs_open *open)
{
	struct control *c = open->priv;
	struct xfer *x, *next;

	if (!c)
		return;
	if (c->obj && c->obj->map && c->obj->map->map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		bpf_perf_array_release(c->obj->map, c);
	control_drop_token(c);
	control_end_walks(c);
	control_hold(open, NULL, NULL, NULL, 0);
	bpf_btf_put(c->btf);
	for (x = c->xfers; x; x = next) {
		next = x->next;
		free_xfer(open, x);
	}
	pthread_mutex_destroy(&c->lock);
	if (c->obj)
		store_put(c->obj);
	free(c);
}

/* ---- transfers */

/* Take transfer `id` out of the list; NULL: there is none. */
static struct xfer *take_xfer(struct control *c, u64 id)
{
	struct xfer **at, *x;

	pthread_mutex_lock(&c->lock);
	for (at = &c->xfers; *at && (*at)->id != id; at = &(*at)->next)
		;
	x = *at;
	if (x) {
		*at = x->next;
		c->nr_xfers--;
	}
	pthread_mutex_unlock(&c->lock);
	return x;
}

static int give_xfer(struct fs_open *open, struct xfer *x)
{
	struct control *c = open->priv;
	bool full;

	pthread_mutex_lock(&c->lock);
	full = c->nr_xfers >= MAX_XFERS;
	if (!full) {
		x->next = c->xfers;
		c->xfers = x;
		c->nr_xfers++;
	}
	pthread_mutex_unlock(&c->lock);
	if (full)
		free_xfer(open, x);
	return full ? -EMFILE : 0;
}

/*
 * Pieces come in order: each continues what is there, so that a client cannot make us keep holes.
 */
static int cmd_put(struct control_call *call)
{
	struct xfer *x = take_xfer(call->control, call->io.xfer);
	struct fs_open *open = call->open;
	u64 off = call->io.flags;
	int err;

	if (!x && off)
		return no_xfer(call, -EINVAL);
	if (!x) {
		x = calloc(1, sizeof(*x));
		if (!x)
			return -ENOMEM;
		x->id = call->io.xfer;
	}
	if (off == 0)
		x->len = 0;
	if (off != x->len || call->in_len > UBPFFS_XFER_MAX - x->len) {
		free_xfer(open, x);
		return off > UBPFFS_XFER_MAX - call->in_len ? -E2BIG : -EINVAL;
	}
	if (x->len + call->in_len > x->cap) {
		size_t cap = max((x->len + call->in_len) * 2, (size_t)65536);
		char *buf;

		err = fs_open_hold(open, cap - x->cap, fs_why(call->req));
		if (err) {
			free_xfer(open, x);
			return err;
		}
		buf = realloc(x->buf, cap);
		if (!buf) {
			fs_open_let(open, cap - x->cap);
			free_xfer(open, x);
			return -ENOMEM;
		}
		x->buf = buf;
		x->cap = cap;
	}
	if (call->in_len)
		memcpy(x->buf + x->len, call->in, call->in_len);
	x->len += call->in_len;
	return give_xfer(open, x);
}

static int cmd_get(struct control_call *call)
{
	struct xfer *x = take_xfer(call->control, call->io.xfer);
	u64 off = call->io.flags;

	if (!x)
		return no_xfer(call, -ENOENT);
	if (off < x->len)
		control_answer(call, x->buf + off, min(x->len - off, call->room));
	return give_xfer(call->open, x);
}

static int cmd_drop(struct control_call *call)
{
	free_xfer(call->open, take_xfer(call->control, call->io.xfer));
	return 0;
}

/* ---- dispatch */

struct control_cmd {
	struct fs_command fuse; /* first: what FUSE has is this */
	u8 on; /* CONTROL_MAP | CONTROL_PROG | CONTROL_CTL | ... */
	int (*run)(struct control_call *call);
};

#define ANY_OBJECT (CONTROL_MAP | CONTROL_PROG | CONTROL_LINK)
#define ANY_SHOWN  (ANY_OBJECT | CONTROL_BTF)
#define ANY_FILE   (ANY_SHOWN | CONTROL_CTL)
#define QUICK                    \
	{                        \
		false, LIMIT_CNT \
	}
#define SLOW                    \
	{                       \
		true, LIMIT_CNT \
	}

static const struct control_cmd commands[] = {
	[UBPFFS_MAP_LOOKUP_ELEM] = {QUICK, CONTROL_MAP, control_map_lookup},
	[UBPFFS_MAP_UPDATE_ELEM] = {QUICK, CONTROL_MAP, control_map_update},
	[UBPFFS_MAP_DELETE_ELEM] = {QUICK, CONTROL_MAP, control_map_delete},
	[UBPFFS_MAP_GET_NEXT_KEY] = {QUICK, CONTROL_MAP, control_map_next_key},
	[UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM] = {QUICK, CONTROL_MAP, control_map_lookup_and_delete},
	[UBPFFS_MAP_FREEZE] = {QUICK, CONTROL_MAP, control_map_freeze},
	[UBPFFS_MAP_MEMORY] = {QUICK, CONTROL_MAP, control_map_memory},
	[UBPFFS_MAP_LOOKUP_BATCH] = {SLOW, CONTROL_MAP, control_map_lookup_batch},
	[UBPFFS_MAP_UPDATE_BATCH] = {SLOW, CONTROL_MAP, control_map_update_batch},
	[UBPFFS_MAP_DELETE_BATCH] = {SLOW, CONTROL_MAP, control_map_delete_batch},
	[UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH] = {SLOW, CONTROL_MAP,
						control_map_lookup_and_delete_batch},
	[UBPFFS_PROG_TEST_RUN] = {{true, LIMIT_RUN_SECONDS}, CONTROL_PROG, control_prog_test_run},
	[UBPFFS_PROG_PART] = {QUICK, CONTROL_PROG, control_prog_part},
	[UBPFFS_PROG_BIND_MAP] = {QUICK, CONTROL_PROG, control_prog_bind_map},
	[UBPFFS_OBJ_FDINFO] = {QUICK, ANY_SHOWN, control_obj_fdinfo},
	[UBPFFS_OBJ_GET_INFO] = {QUICK, ANY_SHOWN, control_obj_get_info},
	[UBPFFS_OBJ_PIN] = {QUICK, ANY_OBJECT, control_obj_pin},
	[UBPFFS_OBJ_TOKEN] = {QUICK, CONTROL_MAP | CONTROL_PROG, control_obj_token},
	[UBPFFS_LINK_UPDATE] = {SLOW, CONTROL_LINK, control_link_update},
	[UBPFFS_LINK_DETACH] = {SLOW, CONTROL_LINK, control_link_detach},
	[UBPFFS_MAP_CREATE] = {SLOW, CONTROL_CTL, control_map_create},
	[UBPFFS_PROG_LOAD] = {{true, LIMIT_VERIFY_SECONDS}, CONTROL_CTL, control_prog_load},
	[UBPFFS_GET_NEXT_ID] = {QUICK, CONTROL_CTL, control_get_next_id},
	[UBPFFS_BTF_LOAD] = {{true, LIMIT_VERIFY_SECONDS}, CONTROL_CTL, control_btf_load},
	[UBPFFS_BTF_DATA] = {QUICK, CONTROL_BTF, control_btf_data},
	[UBPFFS_UPGRADE] = {SLOW, CONTROL_CTL, control_upgrade},
	[UBPFFS_PUT] = {QUICK, ANY_FILE, cmd_put},
	[UBPFFS_GET] = {QUICK, ANY_FILE, cmd_get},
	[UBPFFS_DROP] = {QUICK, ANY_FILE, cmd_drop},
};

static const struct fs_command *find_command(unsigned int cmd, int on)
{
	u32 nr = _IOC_NR(cmd);

	if (_IOC_TYPE(cmd) != UBPFFS_IOC_TYPE || nr >= ARRAY_SIZE(commands) ||
	    !(commands[nr].on & on))
		return NULL;
	return &commands[nr].fuse;
}

const struct fs_command *control_map_command(unsigned int cmd)
{
	return find_command(cmd, CONTROL_MAP);
}

const struct fs_command *control_prog_command(unsigned int cmd)
{
	return find_command(cmd, CONTROL_PROG);
}

const struct fs_command *control_link_command(unsigned int cmd)
{
	return find_command(cmd, CONTROL_LINK);
}

const struct fs_command *control_btf_command(unsigned int cmd)
{
	return find_command(cmd, CONTROL_BTF);
}

static const struct fs_command *control_ctl_command(unsigned int cmd)
{
	return find_command(cmd, CONTROL_CTL);
}

/* The payload is a transfer, and so is the answer. */
static int run_with_xfer(const struct control_cmd *command, struct control_call *call)
{
	struct xfer *x = take_xfer(call->control, call->io.xfer), *answer;
	struct fs_open *open = call->open;
	int ret, err;

	if (!x && call->io.in_len)
		return no_xfer(call, -ENOENT);
	if (call->io.out_len > UBPFFS_XFER_MAX || (x && x->len != call->io.in_len)) {
		free_xfer(open, x);
		return -EINVAL;
	}
	call->room = call->io.out_len;
	ret = fs_open_hold(open, call->room + 1, fs_why(call->req));
	if (ret) {
		free_xfer(open, x);
		return ret;
	}
	answer = calloc(1, sizeof(*answer));
	call->out = malloc(call->room + 1);
	if (answer && call->out) {
		call->in = x ? x->buf : "";
		call->in_len = x ? x->len : 0;
		ret = command->run(call);
		answer->id = call->io.xfer;
		answer->buf = call->out;
		answer->len = call->answered;
		answer->cap = call->room + 1;
		err = call->answered ? give_xfer(open, answer) : (free_xfer(open, answer), 0);
		if (err) {
			call->answered = 0;
			ret = err;
		}
	} else {
		fs_open_let(open, call->room + 1);
		free(call->out);
		free(answer);
		ret = -ENOMEM;
	}
	free_xfer(open, x);
	return ret;
}

int control_ioctl(struct fs_open *open, struct fs_req *req, const struct fs_command *fuse,
		  const void *in, size_t in_len, void *out, size_t *out_len)
{
	const struct control_cmd *command = container_of(fuse, struct control_cmd, fuse);
	struct control_call call = {.control = open->priv, .open = open, .req = req};
	bool moves;
	int ret;

	if (in_len < sizeof(call.io) || *out_len < sizeof(call.io)) {
		*out_len = 0;
		return -EINVAL;
	}
	memcpy(&call.io, in, sizeof(call.io));
	moves = command->run == cmd_put || command->run == cmd_get || command->run == cmd_drop;
	if (call.io.xfer && !moves) {
		ret = run_with_xfer(command, &call);
		*out_len = sizeof(call.io);
	} else if (call.io.in_len > in_len - sizeof(call.io) ||
		   call.io.out_len > *out_len - sizeof(call.io)) {
		ret = -EINVAL;
		*out_len = sizeof(call.io);
	} else {
		call.in = (const char *)in + sizeof(call.io);
		call.in_len = call.io.in_len;
		call.out = (char *)out + sizeof(call.io);
		call.room = call.io.out_len;
		ret = command->run(&call);
		*out_len = sizeof(call.io) + call.answered;
	}
	call.io.in_len = UBPFFS_ANSWERED;
	call.io.out_len = call.answered;
	memcpy(out, &call.io, sizeof(call.io));
	return ret;
}

const struct fs_node_ops ctl_ops = {
	.name = "ctl",
	.type = S_IFREG,
	.fresh = true,
	.cancel_on_kill_only = true,
	.open = control_open,
	.release = control_release,
	.keep = control_keep,
	.restore = control_restore,
	.command = control_ctl_command,
	.ioctl = control_ioctl,
};
