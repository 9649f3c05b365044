/*
 * link.h - links: an attachment that lives as long as a descriptor or a pin of it
 *
 * As bpf(2)'s links of cgroups. A link is an object of the store: its file says which program is
 * attached where, a pin is a further hard link of it, and a start attaches what has a pin again
 * (links_start()). The attachment itself is the model's alone (cgroup/cgroup.h), with
 * BPF_F_ALLOW_MULTI: there is no hidden link in the cgroup's directory.
 *
 * Lock: a link's own, around the model's; nothing else is taken under it but the store's files.
 */
#ifndef UBPFFS_FS_STORE_LINK_H
#define UBPFFS_FS_STORE_LINK_H

#include "cgroup/cgroup.h"
#include "fs/store/objects/object.h"

#define STORE_LINK_MAGIC 0x6b6e696c667062ULL /* "bpflink" */

struct link_state {
	u32 prog_id, attach_type;
	u64 cgroup_id; /* 0: it is attached nowhere (any more) */
};

/*
 * Attach prog and make the link, which the caller gets with a reference. Errors are
 * cgroup_bpf_attach()'s and the filesystem's; nothing has changed then.
 */
int store_link_create(struct bpf_prog *prog, struct cgroup *cgrp, u32 type,
		      const struct fs_cred *cred, struct store_object **out,
		      struct error_record *why);
/*
 * Another program takes the place; old: which one there has to be now (-EPERM), or NULL. -ENOLINK:
 * it is not attached.
 */
int store_link_update(struct store_object *obj, struct bpf_prog *prog, const struct bpf_prog *old);
/* The attachment ends, the link stays. */
int store_link_detach(struct store_object *obj);
void store_link_state(struct store_object *obj, struct link_state *state);
/* The program's tag, for fdinfo. */
void store_link_tag(struct store_object *obj, u8 tag[BPF_TAG_SIZE]);

/* For names/recovery.c: what its file says, -EBADMSG when that is damaged. */
int store_link_read(int fd, struct link_state *state);
/* An object of it, not attached yet; takes over prog. */
int store_link_adopt(struct store_object *obj, const struct link_state *state,
		     struct bpf_prog *prog);
/*
 * After the cgroups are there: each link is attached to the cgroup that get() finds by its id (a
 * reference, or NULL). A link that cannot be attached stays, and stderr says so.
 */
void links_start(struct cgroup *(*get)(u64 id));

#endif
