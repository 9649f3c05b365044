/*
 * attachments.h - attachments: in the model, and as hidden links of the state tree (see cgroups.h)
 *
 * All need tree_wrlock.
 */
#ifndef UBPFFS_FS_CGROUPS_ATTACHMENTS_H
#define UBPFFS_FS_CGROUPS_ATTACHMENTS_H

#include "cgroup/cgroup.h"
#include "fs/node/node.h"
#include "fs/store/objects/object.h"

extern const char *const cgroup_type_names[MAX_CGROUP_BPF_ATTACH_TYPE];
/* The word for BPF_F_ALLOW_*, in attach files and in links; and back, -EINVAL: it is none. */
const char *cgroup_flags_word(u32 flags);
int cgroup_flags_of(const char *word, size_t n, u32 *flags);

/*
 * replace: the one to replace with BPF_F_REPLACE, or NULL. Errors are cgroup_bpf_attach()'s and the
 * filesystem's, and why.
 */
int cgroup_link_attach(struct fs_node *dir, struct cgroup *cgrp, u32 type, struct store_object *obj,
		       struct store_object *replace, u32 flags, struct error_record *why);
/* obj NULL: the only one there is. -ENOENT: it is not attached here. */
int cgroup_link_detach(struct fs_node *dir, struct cgroup *cgrp, u32 type, struct store_object *obj,
		       struct error_record *why);
/*
 * Attach what the links say. An attachment that is broken or refused stays a link, and stderr says
 * so; the next start tries it again. -errno: the links cannot be read, or memory is short.
 */
int cgroup_links_restore(int fd, struct cgroup *cgrp, const char *path);
/* The directory's cgroup is gone. */
int cgroup_links_remove(int fd);

#endif
