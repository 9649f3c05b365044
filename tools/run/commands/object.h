/*
 * object.h - what is behind a descriptor of the caller
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_OBJECT_H
#define UBPFFS_TOOLS_RUN_COMMANDS_OBJECT_H

#include <linux/bpf.h>
#include "tools/run/caller/caller.h"
#include "uapi/ubpffs.h"
#include "tools/run/commands/call.h"

struct object {
	int fd; /* our descriptor of the caller's open file: its rights are that one's */
	unsigned int kind; /* UBPFFS_MAP, UBPFFS_PROG, UBPFFS_BTF, UBPFFS_LINK, UBPFFS_EVENT */
	unsigned int cpus; /* maps: values an element has, 0: not per CPU */
	union {
		struct bpf_map_info map;
		struct bpf_prog_info prog;
		struct bpf_btf_info btf;
		struct bpf_link_info link;
		struct ubpffs_event_info event;
	};
};

/*
 * The object of the caller's descriptor: -EBADF: there is none, -EINVAL: no object of `kind` (0:
 * any) of this mount. object_end() in any case.
 */
int object_of_fd(struct caller *c, int fd, unsigned int kind, struct object *obj);
void object_end(struct object *obj);

/* Open a file of the mount, with the ids that this thread has: a descriptor, or -errno. */
int mount_open(const char *path, int flags);
/* One command, see ubpfc_command(): 0 or -errno. */
int mount_command(int fd, unsigned int cmd, struct ubpffs_io *io, const void *in, size_t in_len,
		  void *out);
/* The name that readlink(2) of such a descriptor's link has. */
const char *object_link_name(const struct object *obj);
/* Open ids/<kind>/<id> and give it to the caller, who asked for an object. */
long give_object(struct caller *c, const char *kind, uint32_t id, int flags);
/* open(2)'s mode of BPF_F_RDONLY and BPF_F_WRONLY; -EINVAL for both, or any other flag. */
int object_mode(uint32_t flags);

/* The commands on any object. */
long run_obj_pin(struct bpf_call *call);
long run_obj_get(struct bpf_call *call);
long run_get_next_id(struct bpf_call *call);
long run_get_fd_by_id(struct bpf_call *call);
long run_obj_get_info(struct bpf_call *call);
long run_task_fd_query(struct bpf_call *call);

#endif
