/*
 * link_file.c - the file of a link (store/link.h): ids/link/<id> and its pins
 *
 * ioctls are bpf(2)'s commands (ioctl/). An open descriptor is a reference on the link, so that the
 * attachment ends with the last descriptor and pin.
 */
#include "fs/cgroups/files.h"
#include "fs/dirs/user_dir.h"
#include "fs/ioctl/ioctl.h"

/* clang-format off */
#define LINK_FILE				\
	.name = "link",				\
	OBJECT_FILE,				\
	.open = control_open,			\
	.command = control_link_command,	\
	.ioctl = control_ioctl,			\
	.release = control_release
/* clang-format on */

const struct fs_node_ops link_file_ops = {LINK_FILE, OBJECT_OWN_FILE};
FS_KIND(link_file_ops, "link file");
const struct fs_node_ops link_pin_ops = {LINK_FILE, OBJECT_PIN};
FS_KIND(link_pin_ops, "link pin");
