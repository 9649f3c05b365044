/*
 * ubpffs_local.h - programs of a mounted ubpffs in your own process, on the same maps
 *
 * A program is opened by its path in the mount. What the server keeps of it is verified and
 * compiled again here, and runs at the speed of native code, without a call of the server; its maps
 * are the server's, by their memory: what a run counts `cat` shows, and what `echo` writes the next
 * run sees. When the path names another program, ubpffs_local_update() takes that one.
 *
 * Who: the user that the server runs as, with programs that are his. What: programs whose maps are
 * arrays (also .data, .bss and .rodata) and hash maps without locks; hash maps are looked up and
 * read, and a program that changes one is -EACCES. A process may be killed at any moment, so it
 * makes no change that has steps: other maps are -EOPNOTSUPP. Counters that several
 * processes change are changed by atomic operations, as between threads.
 *
 * Link with -lubpffs-local -lubpffs-client -lubpffs. Which mount: as ubpffs_client.h says.
 * Functions return 0 or -errno. Any thread may use what ubpffs_local_prog() gave, with a reference
 * of its own; one thread at a time calls the functions of one struct ubpffs_local.
 *
 *	err = ubpffs_local_open("app/filter", NULL, &local);
 *	while (next(&block)) {
 *		ubpffs_local_update(local);
 *		ubpffs_prog_run(ubpffs_local_prog(local), &block, sizeof(block), &ret);
 *	}
 */
#ifndef UBPFFS_LOCAL_H
#define UBPFFS_LOCAL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bpf_map; /* ubpffs_engine.h */
struct bpf_prog;
struct ubpffs_load_opts;
struct ubpffs_local;

/*
 * ubpffs_local_open - the program at `path`, in this process
 *
 * path: a pin or a program's `prog`, as ubpfc_obj_get() takes it. opts: as ubpffs_object_load(),
 * without a verdict, and copied; it may be NULL. opts->engine has helpers that the program calls,
 * and stays the caller's until the close. *local is the caller's, also on failure, for
 * ubpffs_local_error(); NULL when there is no memory for it. -EACCES: another user's program, or
 * server, or no longer accepted; -EOPNOTSUPP: a map that cannot be shared; -ENOENT.
 */
int ubpffs_local_open(const char *path, const struct ubpffs_load_opts *opts,
		      struct ubpffs_local **local);
void ubpffs_local_close(struct ubpffs_local *local); /* NULL: nothing */

/* Borrowed until the next update or close; NULL when the open failed. */
struct bpf_prog *ubpffs_local_prog(const struct ubpffs_local *local);
/* Of the program's maps, the one with this name in the mount; borrowed likewise. NULL: none. */
struct bpf_map *ubpffs_local_map(const struct ubpffs_local *local, const char *name);
uint32_t ubpffs_local_id(const struct ubpffs_local *local); /* the program's, in the mount */

/*
 * ubpffs_local_update - take the program that the path names now
 *
 * 1: it is another one, and was taken; 0: it is the same. -errno as of an open: the one before
 * stays. Asks the server once (two file operations).
 */
int ubpffs_local_update(struct ubpffs_local *local);

/* Why the last call failed: a sentence, and the verifier's report where it refused. "": no more. */
const char *ubpffs_local_error(const struct ubpffs_local *local);

#ifdef __cplusplus
}
#endif
#endif
