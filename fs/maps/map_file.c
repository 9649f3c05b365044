/*
 * map_file.c - the file of a map, wherever it is linked: a descriptor of it is a map fd
 *
 * ioctls are bpf(2)'s commands (ioctl/), mmap reaches the values (value_memory.h), and poll waits
 * for the records of a ring buffer. An open descriptor is a reference on the map.
 */
#include "fs/dirs/user_dir.h"
#include "fs/ioctl/commands/call.h"
#include "fs/ioctl/ioctl.h"
#include "fs/maps/maps.h"
#include "fs/maps/ring_memory.h"
#include "fs/maps/stream.h"
#include "fs/maps/value_memory.h"
#include "fs/store/node_object.h"
#include "fs/store/objects/asleep.h"

#include <poll.h>

static int map_open(struct fs_open *open, struct fs_req *req)
{
	struct store_object *obj;
	int err = store_of_node(open->node, &obj);

	if (err)
		return err;
	err = store_wake(obj);
	if (!err && obj->broken)
		err = fs_error(req, EBADMSG, "%s", obj->broken);
	if (!err)
		err = mapmem_open(open, req, obj);
	if (!err && obj->map->map_type == BPF_MAP_TYPE_RINGBUF)
		stream_watch(open);
	store_put(obj);
	return err ? err : control_open(open, req);
}

static u32 map_poll(struct fs_open *open)
{
	const struct control *c = open->priv;

	if (c->obj->map->map_type == BPF_MAP_TYPE_RINGBUF)
		return ringmem_poll(c->obj->map);
	return POLLIN | POLLOUT;
}

/* clang-format off */
#define MAP_FILE				\
	.name = "map",				\
	OBJECT_FILE,				\
	.open = map_open,			\
	.command = control_map_command,		\
	.ioctl = control_ioctl,			\
	.poll = map_poll,			\
	.release = control_release,		\
	.keep = control_keep,			\
	.restore = control_restore
/* clang-format on */

const struct fs_node_ops map_file_ops = {MAP_FILE, OBJECT_OWN_FILE};
FS_KIND(map_file_ops, "map file");
const struct fs_node_ops map_pin_ops = {MAP_FILE, OBJECT_PIN};
FS_KIND(map_pin_ops, "map pin");
