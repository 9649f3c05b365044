/*
 * entries.h - a map's entries as files: entries/<key>, and the whole of them in dump, dump.json and
 * raw
 */
#ifndef UBPFFS_FS_MAPS_TEXT_ENTRIES_H
#define UBPFFS_FS_MAPS_TEXT_ENTRIES_H

#include "core/map.h"
#include "fs/node/node.h"
#include "fs/maps/text/key_text.h"

extern const struct fs_node_ops entries_dir_ops; /* entries.c */
extern const struct fs_node_ops dump_ops; /* dump.c */
extern const struct fs_node_ops raw_ops; /* dump.c */
extern const struct fs_node_ops json_ops; /* dump.c */

/* Is the map's value one line a CPU? */
bool entries_percpu(const struct bpf_map *map);
/* Do its slots hold programs or maps, which are named? */
bool entries_slots(const struct bpf_map *map);

/*
 * What an entry's file says: the value as a line, per-CPU values as lines `cpuN value` (with
 * `prefix` and a blank before each). `value` is bpf_map_value_size() bytes.
 */
void entries_print(const struct bpf_map *map, const void *key, const void *value,
		   const char *prefix, struct fs_text *out);

/*
 * entries_write - update `key` from text, as it is printed or as JSON. Of a JSON object, what is
 * not said keeps what the entry holds, and is 0 in a new one.
 *
 * TEXT_COMPLETE: done. TEXT_INCOMPLETE: the text is not whole yet. -errno of the update, or
 * -EINVAL, -ERANGE for text that is no value; each with a sentence. cpu >= 0: the text is that
 * CPU's value alone.
 */
int entries_write(struct fs_req *req, struct bpf_map *map, const void *key, int cpu,
		  const char *text, size_t len, u64 flags);
/* The same from one JSON value, also where it could be taken for what is printed. */
int entries_write_json(struct fs_req *req, struct bpf_map *map, const void *key, int cpu,
		       const char *text, size_t len);

/* Returns err, of an update, with what is to be said about it. */
int entries_update_error(struct fs_req *req, const struct bpf_map *map, int err);

/*
 * For ops->open: a file of large values is slow, and who reads is charged for what it takes to
 * print one.
 */
int entries_prepare(struct fs_open *open, struct fs_req *req, const struct bpf_map *map);

#endif
