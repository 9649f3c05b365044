/*
 * prog_file.c - the file of a program, wherever it is linked: a descriptor of it is a program fd
 *
 * ioctls are bpf(2)'s commands (ioctl/). An open descriptor is a reference on the program.
 */
#include "fs/dirs/user_dir.h"
#include "fs/ioctl/ioctl.h"
#include "fs/progs/progs.h"

/* clang-format off */
#define PROG_FILE				\
	.name = "program",			\
	OBJECT_FILE,				\
	.open = control_open,			\
	.command = control_prog_command,	\
	.ioctl = control_ioctl,			\
	.release = control_release,		\
	.keep = control_keep,			\
	.restore = control_restore
/* clang-format on */

const struct fs_node_ops prog_file_ops = {PROG_FILE, OBJECT_OWN_FILE};
FS_KIND(prog_file_ops, "program file");
const struct fs_node_ops prog_pin_ops = {PROG_FILE, OBJECT_PIN};
FS_KIND(prog_pin_ops, "program pin");
