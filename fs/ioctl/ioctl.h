/*
 * ioctl.h - the ioctls of uapi/ubpffs.h: bpf(2)'s commands on map, program and types fds and M/ctl
 *
 * The kinds whose files take ioctls use these functions as their open, release and ioctl. An open
 * description keeps its transfers, its token, the walks of its batches, and (ctl) the object that
 * it made last, until it is released: a client that dies leaves nothing.
 */
#ifndef UBPFFS_FS_IOCTL_IOCTL_H
#define UBPFFS_FS_IOCTL_IOCTL_H

#include "btf/btf.h"
#include "fs/node/node.h"

/* Sets open->priv. -EBADMSG: the object is broken. */
int control_open(struct fs_open *open, struct fs_req *req);
/* Of a types fd; takes the reference over. */
int control_open_types(struct fs_open *open, struct fs_req *req, struct bpf_btf *btf);
void control_release(struct fs_open *open);
void control_keep(struct fs_open *open, struct kept *kept);
void control_restore(struct fs_open *open, const struct kept *kept);

/*
 * The command of that number, for a map fd, a program fd, ctl. Loads, test runs and batches belong
 * on a worker.
 */
const struct fs_command *control_map_command(unsigned int cmd);
const struct fs_command *control_prog_command(unsigned int cmd);
const struct fs_command *control_link_command(unsigned int cmd);
const struct fs_command *control_btf_command(unsigned int cmd);
int control_ioctl(struct fs_open *open, struct fs_req *req, const struct fs_command *command,
		  const void *in, size_t in_len, void *out, size_t *out_len);

extern const struct fs_node_ops ctl_ops; /* M/ctl */

#endif
