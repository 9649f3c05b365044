/*
 * publish.h - names that appear together or not at all
 *
 * A load makes directories progs/<x> and maps/<m>. They are built in pending/<n>/, numbered, each
 * with its hard link inside; a manifest there lists what will go where; then each is renamed to its
 * place, and removing the manifest commits. A server that finds a manifest at its start takes the
 * names back.
 *
 * Only progs/ and maps/ are published to, and those of load directories. One thread at a time uses
 * a struct publish.
 */
#ifndef UBPFFS_FS_STORE_NAMES_PUBLISH_H
#define UBPFFS_FS_STORE_NAMES_PUBLISH_H

#include "fs/store/objects/object.h"

struct publish;

/*
 * Before a load: names that should be gone, and that an error kept, are tried again. Takes
 * tree_wrlock for that.
 */
void publish_retry(void);
/* progs, maps: the directories, from tree/ (load_dir.h). */
int publish_begin(const struct fs_cred *cred, mode_t umask, const char *progs, const char *maps,
		  struct publish **out, struct error_record *why);
/* One name for obj. owner: of a map that goes with the load's programs, their ids, a line each. */
int publish_add(struct publish *pub, struct store_object *obj, const char *name, const char *owner,
		struct error_record *why);
/*
 * Takes tree_wrlock. -EEXIST: a name is taken. Nothing is visible on failure, unless a name could
 * not be taken back; then the next load, or the next start, does that first.
 */
int publish_commit(struct publish *pub, struct error_record *why);
/*
 * What a request intends that is about to commit it (keeper/requests.h). A start that takes it back
 * makes the request forget it; so who finds it was committed.
 */
u64 publish_number(const struct publish *pub);
/* Always last, without tree_wrlock; removes what was not committed. */
void publish_end(struct publish *pub);

/*
 * At the start: roll back what is in pending/. An error: what could not be rolled back is there for
 * the next start.
 */
int publish_recover(void);

#endif
