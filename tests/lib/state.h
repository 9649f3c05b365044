/*
 * state.h - a state directory of a test's own, with a store on it, for tests of fs/store/ and of
 * what stands above it
 *
 * There is no mount and no second thread: what the kernel would ask for is called by the test. All
 * functions but state_start() end the test where they cannot do what they are for.
 */
#ifndef UBPFFS_TESTS_STATE_H
#define UBPFFS_TESTS_STATE_H

#include "fs/store/objects/object.h"

extern struct fs_cred state_me; /* who runs the test */
extern struct fs_cred state_other; /* somebody else, in no group of ours */
extern struct fs_node *state_root;

/* For setup and teardown of a case: an empty state and a store that has started on it. */
int state_begin(void **state);
int state_end(void **state);

/* store_start()'s answer; a server that failed to start has ended. */
int state_start(void);
/* As main() ends a server. */
void state_stop(void);
/* What a server does until it is killed: fn() runs in a process that ends without a word. */
void state_killed(void (*fn)(void));

/* maps/<name>, an array of two values of 8 bytes; a reference. */
struct store_object *state_map(const char *name);
/*
 * progs/<name>, a program of cgroups that returns `ret` (0, 1) and uses this map (or NULL); a
 * reference.
 */
struct store_object *state_prog(const char *name, int ret, struct store_object *map);
/* As one load: the maps go with the last of the programs. */
void state_load_all(const char *const *progs, u32 nr_progs, const char *const *maps, u32 nr_maps);
void state_load(const char *prog, const char *map);

/* Of the state directory, also while no server has it: is there such a name? */
bool state_has(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* progs/<name> or maps/<name> loses its object, as by rm -r. */
void state_unname(const char *dir, const char *object);
/* How many bytes a file of the state gets, instead of what it had. */
void state_write(const char *path, const void *data, size_t len);

#endif
