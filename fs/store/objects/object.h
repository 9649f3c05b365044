/*
 * object.h - objects: programs and maps on disk and in memory
 *
 * Every object is a file objects/<id>. A name, a pin is a further hard link of it. The store holds
 * one engine reference on an object while it has a name (nlink > 1); open files and programs hold
 * theirs. When the last engine reference is dropped and no name is left, the file is removed.
 * Dropping a reference takes the store's mutex only, so it is allowed with tree_lock held.
 *
 * A reference on a store object is an engine reference (store_put() drops it). Nodes have none: see
 * node_object.h.
 *
 * The attributes of the file are read once, and again after a change of its names, owner, bits or
 * times; all of those go through the server. An object that could not be read back (damaged, or no
 * longer verified) has neither prog nor map; `broken` says why, and its file stays.
 *
 * What a start finds is asleep (asleep.h): store_wake() comes before `prog`, `map` or `broken` is
 * used.
 */
#ifndef UBPFFS_FS_STORE_OBJECTS_OBJECT_H
#define UBPFFS_FS_STORE_OBJECTS_OBJECT_H

#include "btf/btf.h"
#include "core/map.h"
#include "core/prog.h"
#include "fs/node/node.h"
#include "fs/lib/hash.h"

enum store_kind { STORE_PROG, STORE_MAP, STORE_LINK, STORE_KINDS };

/* What a consumer maps of a ring buffer (maps/ring_memory.h). */
enum store_ring_part { STORE_RING_CONSUMER, STORE_RING_DATA, STORE_RING_PARTS };

struct store_object {
	u32 id;
	enum store_kind kind;
	u64 ino; /* of objects/<id> */
	struct bpf_prog *prog; /* STORE_PROG, awake and not broken */
	struct bpf_map *map; /* STORE_MAP, awake and not broken */
	char *broken; /* a sentence, or NULL */
	void *kind_priv; /* STORE_LINK, not broken: store/link.c's */
	void (*kind_end)(struct store_object *obj); /* the last reference is gone; or NULL */

	u32 key_form; /* maps/text/key_text.c's; 0: not asked yet */
	int backing_id; /* maps/value_memory.c's; 0: not asked yet, negative: there is none */
	int ring_backing_id[STORE_RING_PARTS]; /* maps/ring_memory.c's, the same */

	/* the store's own */
	char *broken_log; /* the report of the load that failed */
	char *log; /* progs/progs.c's: that of a program that was accepted, once it was asked for */
	bool asleep; /* not read back yet */
	bool waking; /* somebody does it */
	struct store_seen *seen; /* what the start saw; NULL: the object is of this server */
	bool held; /* the store's reference, for the names */
	bool unsure; /* the names could not be counted when they changed */
	uid_t owner; /* who is charged (limits.h) for the object, bytes and names */
	u64 bytes;
	u32 names;
	bool charged;
	int refs; /* of what is asleep or broken, and of a link; or REFS_ARE_THE_ENGINES */
	struct hash_link id_link, ino_link;
	struct store_object *next_drop;
	struct store_object *lower, *higher; /* of its kind, by id */
	u32 holders; /* of the structure: the table, and nodes */
	struct rcu_head rcu;
	pthread_mutex_t stat_lock; /* a leaf */
	struct stat st; /* of objects/<id>, when it is */
	bool st_known;
};

/* Drop the names' references; files stay. */
void store_stop(void);

/* Each gives one reference; -ENOENT. */
int store_by_id(enum store_kind kind, u32 id, struct store_object **out);
int store_by_ino(u64 ino, struct store_object **out);
struct store_object *store_of_map(
	struct bpf_map *map); /* borrowed: as long as the caller's reference */
struct store_object *store_of_prog(struct bpf_prog *prog);
void store_get(struct store_object *obj);
/* False: its last reference is gone already. */
bool store_get_unless_gone(struct store_object *obj);
/* The node shows this object from now on, or none any more (NULL); tree_lock held. */
void store_bind(struct fs_node *node, struct store_object *obj);
void store_put(struct store_object *obj);
int store_stat(struct store_object *obj, struct stat *st);
void store_stat_changed(struct store_object *obj); /* its owner, bits or times were */
/* The object of the lowest id above `id`, with a reference; -ENOENT: there is none. */
int store_next(enum store_kind kind, u32 id, struct store_object **out);

/*
 * Report of the load that failed at the start, for the log file of a broken program; may be NULL.
 */
const char *store_broken_log(const struct store_object *obj);

/* A structure of which nobody knows yet; NULL without memory. */
struct store_object *store_object_new(u32 id, enum store_kind kind, const struct stat *st);
/* Nobody knows of it yet; its files stay. */
void store_object_drop(struct store_object *obj);
/* An object whose file is there already. The caller's reference stays the caller's. */
void store_adopt_map(struct store_object *obj, struct bpf_map *map);
void store_adopt_prog(struct store_object *obj, struct bpf_prog *prog);
/* Neither a map nor a program: it counts its references itself. */
void store_adopt_counted(struct store_object *obj);
/*
 * While a start may still fail, and when it set something aside, what nobody holds keeps its file.
 */
void store_keep_files(bool keep);

#endif
