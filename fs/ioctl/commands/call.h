/*
 * call.h - one call, and what an open description keeps
 *
 * ioctl/ioctl.c takes a call in and finds its command; the other files of this folder are the
 * commands, one a kind; they reach the object and the answer through this.
 */
#ifndef UBPFFS_FS_IOCTL_COMMANDS_CALL_H
#define UBPFFS_FS_IOCTL_COMMANDS_CALL_H

#include "core/map.h"
#include "core/prog.h"
#include "fs/node/node.h"
#include "fs/store/objects/object.h"
#include "uapi/ubpffs.h"

enum { CONTROL_MAP = 1, CONTROL_PROG = 2, CONTROL_CTL = 4, CONTROL_BTF = 8, CONTROL_LINK = 16 };

#define CONTROL_WALKS 8 /* batch walks of one open description; the oldest ends for a ninth */

struct control { /* open->priv of every file that takes ioctls */
	pthread_mutex_t lock;
	struct store_object *obj; /* map and program fds: what was opened; else NULL */
	struct bpf_btf *btf; /* types fds */
	struct xfer *xfers;
	u32 nr_xfers;
	u64 token; /* 0: none was asked for */
	struct bpf_prog *held_prog; /* ctl: made last, kept until the client has opened its id */
	struct bpf_map *held_map;
	struct bpf_btf *held_btf;
	u64 btf_bytes; /* charged for held_btf */
	struct control_walk {
		u64 id; /* 0: free */
		struct bpf_map_iter *it;
	} walks[CONTROL_WALKS];
	u64 next_walk;
	bool lost_xfers, lost_walks; /* another server had some */
};

struct control_call {
	struct control *control;
	struct fs_open *open;
	struct fs_req *req;
	struct ubpffs_io io;
	const char *in;
	size_t in_len;
	char *out;
	size_t room, answered;
};

#define CONTROL_ANY -1

/* Append to the answer; what does not fit is cut. */
void control_answer(struct control_call *call, const void *data, size_t len);

/*
 * The map or program behind the open file, borrowed from it. mode: O_RDONLY, O_WRONLY or O_RDWR,
 * what the command needs (CONTROL_ANY: no more than a descriptor); -EPERM when it was opened
 * otherwise (as bpf(2)), -ESTALE when it is not the one that the caller believes, -EBADMSG for a
 * broken object.
 */
int control_map(struct control_call *call, int mode, struct bpf_map **map);
int control_prog(struct control_call *call, int mode, struct bpf_prog **prog);
int control_link(struct control_call *call, int mode, struct store_object **link);

/*
 * ctl holds the object made last, which it takes over, and what was charged for types; what it held
 * before goes, and its charge.
 */
void control_hold(struct fs_open *open, struct bpf_prog *prog, struct bpf_map *map,
		  struct bpf_btf *btf, u64 btf_bytes);

/*
 * Is the caller the server's own user? -EACCES, with a sentence. What a process is given to run
 * programs in itself that user could take from the state directory.
 */
int control_server_user(struct control_call *call);

/*
 * A name as bpf(2) takes it: letters, digits, _ and ., ended by a NUL within BPF_OBJ_NAME_LEN
 * bytes.
 */
bool control_name_ok(const char *name);

#endif
