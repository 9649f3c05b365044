/*
 * attach_ioctl.h - an open attach file, and the commands that it takes (uapi/ubpffs.h)
 */
#ifndef UBPFFS_FS_CGROUPS_ATTACH_IOCTL_H
#define UBPFFS_FS_CGROUPS_ATTACH_IOCTL_H

#include "fs/lib/write_buffer.h"
#include "fs/node/node.h"
#include "fs/store/objects/object.h"

struct attach_open {
	struct write_buffer buffer;
	bool acted; /* the buffer's bytes, a line without its newline so far, were executed */
	pthread_mutex_t lock; /* a leaf */
	struct store_object *link; /* the link made last, held until the client has opened its id */
};

const struct fs_command *attach_command(unsigned int cmd);
int attach_ioctl(struct fs_open *open, struct fs_req *req, const struct fs_command *command,
		 const void *in, size_t in_len, void *out, size_t *out_len);

#endif
