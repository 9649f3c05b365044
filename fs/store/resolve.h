/*
 * resolve.h - the object, or the directory, that a client names in text or in an ioctl
 *
 * Path walks, opens and changes of names are checked by the kernel (default_permissions). What a
 * client names is resolved here, relative to M, component by component, with the rights of who
 * opened the file that it is written to (caller/caller.h).
 */
#ifndef UBPFFS_FS_STORE_RESOLVE_H
#define UBPFFS_FS_STORE_RESOLVE_H

#include "fs/store/objects/object.h"

/*
 * Which permission bits of the object a use of its name needs. A template, or what to detach, is
 * only read. A caller that gives a map to a program, or a program to something that runs it, can do
 * with it whatever a descriptor can: that needs reading and writing, as BPF_OBJ_GET does.
 */
#define RESOLVE_READ (R_OK)
#define RESOLVE_USE  (R_OK | W_OK)

/*
 * resolve_object - the object that a client names
 *
 * `text` is a decimal or 0x id, a name in progs/ or maps/, or a path in the mount of a pin, of
 * progs/<x> or maps/<x> or of the object's file in it; blanks around it are ignored. Relative
 * symlinks are followed, others refused. -ENOENT, -EACCES, -EINVAL (an object of the other kind),
 * -EBADMSG (broken); each with a sentence in M/log. One reference in *out.
 */
int resolve_object(struct fs_req *req, enum store_kind kind, const char *text, int mask,
		   struct store_object **out);

/*
 * The same for what is written into a file, its first word, which `name` (PATH_MAX bytes) gets:
 * TEXT_COMPLETE (text/value_text.h) and a reference in *out, TEXT_INCOMPLETE when there is no word
 * yet, or -errno.
 */
int resolve_word(struct fs_req *req, enum store_kind kind, const char *text, size_t len, int mask,
		 char *name, struct store_object **out);

/*
 * May there be another link of an object for who asks? As fs.protected_hardlinks: 0, or -EPERM with
 * a sentence.
 */
int resolve_may_link(struct fs_req *req, struct store_object *obj);

/*
 * resolve_parent - the user's directory in which a client wants a new name
 *
 * `path` is relative to M. Returns an O_PATH descriptor of the directory, in which the client may
 * make names, and the last component in *name (malloc()ed). -EPERM for the directories that are not
 * the users' own. tree_lock held.
 */
int resolve_parent(struct fs_req *req, const char *path, char **name);

#endif
