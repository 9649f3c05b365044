/*
 * json_entries.h - what is written to dump.json: each entry is an update when it is complete
 */
#ifndef UBPFFS_FS_MAPS_TEXT_JSON_ENTRIES_H
#define UBPFFS_FS_MAPS_TEXT_JSON_ENTRIES_H

#include "core/map.h"
#include "fs/lib/write_buffer.h"
#include "fs/node/node.h"

struct json_entries { /* all zero at first */
	struct write_buffer buffer;
	bool listed, ended; /* behind the [ and the ] of the list */
	u64 entries; /* that were used up */
};

/*
 * A list of what dump.json prints, or its elements alone (one a line, say). key: room for one of
 * the map's. `len`, or -errno with a sentence that names the entry.
 */
ssize_t json_entries_write(struct json_entries *w, struct fs_open *open, struct fs_req *req,
			   struct bpf_map *map, char *key, const char *buf, size_t len, off_t off);
int json_entries_flush(struct json_entries *w, struct fs_req *req); /* -EINVAL: it goes on */

#endif
