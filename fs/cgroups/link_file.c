/*
 * link_file.c - the file of a link (store/link.h): ids/link/<id> and its pins
 *
 * ioctls are bpf(2)'s commands (ioctl/). An open descriptor is a reference on the link, so that the
 * attachment ends with the last descriptor and pin.
 */
#include "fs/cgroups/files.h"
#include "fs/dirs/user_dir.h"
#include "fs/ioctl/ioctl.h"
#include "fs/store/object.h"

/* clang-format off */
#define LINK_FILE				\
	.name = "link",				\
	.type = S_IFREG,			\
	.open = control_open,			\
	.command = control_link_command,	\
	.ioctl = control_ioctl,			\
	.release = control_release,		\
	.getattr = store_node_stat,		\
	.attr_changed = store_node_changed,	\
	.free = store_node_free
/* clang-format on */

const struct fs_node_ops link_file_ops = {LINK_FILE, .read = object_read};
const struct fs_node_ops link_pin_ops = {LINK_FILE, .pin = true, .read = pin_read,
					 .size = pin_size};
