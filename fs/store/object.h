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
 * What a start finds is asleep: its names, owner, charge, what it is and which maps a program uses
 * are known, and it has no prog or map until somebody needs it, or the thread in the background
 * comes to it (names/read_back.h). store_wake() reads it back and may take as long as a load, so it
 * is called without locks, before `prog`, `map` or `broken` is used; afterwards they stay as they
 * are. Who only looks uses store_map_type() and its like. References that were counted here before
 * are the engine's from then on.
 */
#ifndef UBPFFS_FS_STORE_OBJECT_H
#define UBPFFS_FS_STORE_OBJECT_H

#include "btf/btf.h"
#include "core/map.h"
#include "core/prog.h"
#include "fs/node/node.h"
#include "fs/lib/hash.h"
#include "map/create.h"

enum store_kind { STORE_PROG, STORE_MAP, STORE_LINK, STORE_KINDS };

/*
 * The files of an object: objects/<id>, and beside it those of a map's values and of the types of
 * its keys and values (maps of one load share that one by hard links).
 */
enum store_part { STORE_OBJECT, STORE_VALUES, STORE_BTF, STORE_PARTS };
const char *store_part_suffix(enum store_part part); /* behind the id */
const char *store_part_name(u32 id, enum store_part part, char buf[32]); /* returns buf */
/*
 * Its file, opened by its name: maps keep no descriptors of theirs. O_RDONLY, O_RDWR. The caller
 * closes it.
 */
int store_part_open(u32 id, enum store_part part, int flags);
/* The same for reading and writing, whatever the bits say, which are its clients'. */
int store_part_open_own(u32 id, enum store_part part);
/* What passthrough.h knows that file by. */
static inline u64 store_backing_key(u32 id, enum store_part part)
{
	return (u64)id << 8 | part;
}

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

	/* store/object.c's */
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

/* Of an object of an earlier server. */
struct store_seen {
	char name[64];
	struct bpf_map_look map; /* of a map */
	u32 *use_ids; /* the maps of a program */
	u32 nr_uses;
	/* and those that are kept alive for it while it is asleep, or broken; or NULL */
	struct store_object **uses;
};

/* Drop the names' references; files stay. */
void store_stop(void);

u32 store_next_id(void);
/* At the start: this id is in use, or was; later ones are higher. */
void store_id_seen(u64 id);

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
/*
 * Read it back if it is asleep; a reference and no lock is held. 0: it is awake now, broken
 * perhaps. An error may pass: it is asleep still.
 */
int store_wake(struct store_object *obj);
bool store_is_asleep(const struct store_object *obj);
u32 store_asleep(void); /* how many */
/* For who only looks. The type of a map; BPF_MAP_TYPE_UNSPEC: it is none, or broken. */
enum bpf_map_type store_map_type(const struct store_object *obj);
const char *store_name(const struct store_object *obj); /* "" when it cannot be known */
bool store_prog_uses(const struct store_object *obj, u32 map_id);
int store_stat(struct store_object *obj, struct stat *st);
void store_stat_changed(struct store_object *obj); /* its owner, bits or times were */
/* Somebody else is its owner from now on, and is charged for it. -EDQUOT: nothing has changed. */
int store_set_owner(struct store_object *obj, uid_t uid, struct error_record *why);

/* The object of the lowest id above `id`, with a reference; -ENOENT: there is none. */
int store_next(enum store_kind kind, u32 id, struct store_object **out);

/*
 * Take an object's name away: its link `name` in the directory that shows it, and the hidden files
 * beside, all but `but` (NULL: all). tree_wrlock held. -ENOENT: there is none. *out: the object,
 * with a reference; NULL when the store does not know it.
 */
int store_unname(int dirfd, const char *name, const char *but, struct store_object **out,
		 struct error_record *why);
/* Give it one more name; tree_wrlock held. */
int store_link(struct store_object *obj, int dirfd, const char *name, struct error_record *why);
/*
 * Names of this object were added or removed by other means; tree_wrlock held. Takes or drops the
 * store's reference; the caller needs one of its own to go on using obj.
 */
void store_names_changed(struct store_object *obj);
/* The same at a start, where the file was looked at and nothing has changed since. */
void store_count_names(struct store_object *obj);

/*
 * Report of the load that failed at the start, for the log file of a broken program; may be NULL.
 */
const char *store_broken_log(const struct store_object *obj);

/* A structure of which nobody knows yet; NULL without memory. */
struct store_object *store_object_new(u32 id, enum store_kind kind, const struct stat *st);
/* Nobody knows of it yet; its files stay. */
void store_object_drop(struct store_object *obj);
/* What its files hold, with what a map may grow to. */
u64 store_bytes(struct store_object *obj);
/* Its owner pays for a new object of so many bytes; and for types that come to a map later. */
int store_charge(struct store_object *obj, u64 bytes, struct error_record *why);
int store_charge_types(struct store_object *obj, struct error_record *why);
/*
 * For names/recovery.c: an object whose file is there already. The caller's reference stays the
 * caller's.
 */
void store_adopt_asleep(struct store_object *obj, struct store_seen *seen, u64 bytes);
/* store_wake()'s: 0, and one of these three was called; or an error that may pass. */
extern int (*store_read_back)(struct store_object *obj);
void store_awake_map(struct store_object *obj, struct bpf_map *map); /* takes the reference */
void store_awake_prog(struct store_object *obj, struct bpf_prog *prog);
void store_awake_broken(struct store_object *obj, char *sentence, char *log);
/* The map is kept alive for a program of that. */
struct store_object *store_use(struct store_object *map);
void store_seen_free(struct store_seen *seen);
void store_adopt_map(struct store_object *obj, struct bpf_map *map);
void store_adopt_prog(struct store_object *obj, struct bpf_prog *prog);
/* Neither a map nor a program: it counts its references itself. */
void store_adopt_counted(struct store_object *obj);
/*
 * The companions first, and nothing after what fails: what is left is the object's file, which a
 * start removes again.
 */
void store_remove_files(u32 id);
/*
 * While a start may still fail, and when it set something aside, what nobody holds keeps its file.
 */
void store_keep_files(bool keep);

/* ---- new objects (create.c) */

/*
 * A new map without a name: files, engine object, one engine reference in *out. mode: permission
 * bits. Then store_link() names it; a map that is put without a name is gone. Why it cannot be made
 * is said but for what the engine does not like in the specification.
 */
int store_map_create(const struct bpf_map_spec *spec, const struct fs_cred *cred, mode_t mode,
		     struct bpf_map **out, struct error_record *why);
/*
 * Keep the types of a new map in its companion; the map takes a reference on them. `same`: a map
 * that has the same types, or NULL.
 */
int store_map_btf(struct bpf_map *map, struct bpf_btf *btf, const struct bpf_map *same,
		  struct error_record *why);
/* Write the image of a program that was loaded with an id of store_next_id(). */
int store_prog_add(struct bpf_prog *prog, const struct fs_cred *cred, mode_t mode,
		   struct error_record *why);

/*
 * For store/link.c: the file of a new object, open for writing, and the object, charged, of which
 * nobody knows yet; until it is adopted store_file_drop() takes both away.
 */
int store_file_create(enum store_kind kind, const struct fs_cred *cred, mode_t mode,
		      struct store_object **out, struct error_record *why);
void store_file_drop(struct store_object *obj);

#endif
