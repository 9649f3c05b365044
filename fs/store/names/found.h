/*
 * found.h - the files of objects/ that a start finds
 *
 *	found_scan()		all are listed and looked at, and no id below is given again
 *	found_open()		what it is, in its turn or when something needs it
 *	found_remove_unneeded()	those that nothing needed, when nothing was set aside
 *	found_forget()
 *
 * One thread, before the mount.
 */
#ifndef UBPFFS_FS_STORE_NAMES_FOUND_H
#define UBPFFS_FS_STORE_NAMES_FOUND_H

#include "fs/store/objects/files.h"
#include "fs/store/objects/object.h"

/*
 * One file of objects/. Its attributes are looked at once, for nobody is served yet, and it is
 * opened once: in its turn, or when something needs it. What it is stands in it.
 */
struct found {
	u32 id;
	enum store_kind kind;
	bool opened; /* the kind is known */
	bool named;
	bool open; /* clients of the last server of this mount have it open */
	bool started; /* an object was made of it; the start holds a reference */
	bool at_start; /* a map that is awake from the start */
	bool restored; /* its slots were filled */
	bool foreign; /* no regular file: nothing of ours, left alone */
	struct stat st;
	mode_t type[STORE_PARTS]; /* of its companions; 0: there is none */
};

/* 0, or -errno: this start is refused, which was said. */
int found_scan(void);
void found_forget(void);
struct found *found_by_id(u32 id); /* NULL: there is none */
/* In the order of their ids; of NULL the first. */
struct found *found_next(struct found *f);

/* The attributes of a companion. -ENOENT; -EBADMSG: no regular file. */
int found_stat_part(const struct found *f, enum store_part part, struct stat *st);
/*
 * Its descriptor, or what the opening failed with; its kind is known afterwards. A companion's
 * presence tells what a damaged object was.
 */
int found_open(struct found *f);
void found_remove_unneeded(void);

/* An error that may pass: this start is refused. Says the first one, returns err. */
int found_refuse(int err, const char *what, u32 id);
int found_refused(void); /* the first one's, or 0 */

#endif
