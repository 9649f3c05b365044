/*
 * instance.h - the same program in three engines: the running kernel, our JIT, our interpreter
 *
 *	in = instance_new(engine, specs, cnt);           maps
 *	instance_update(in, 0, &key, &value);            their content
 *	err = instance_load(in, &attr, 1);               verdict; in->log
 *	instance_set_slot(in, 0, slot, other);           prog arrays
 *	err = instance_run(in, &run);
 *	blob = instance_dump(in, 0, &size);              content again, comparable
 *	instance_free(in);
 *
 * Where the machine has no JIT, ENGINE_JIT runs the interpreter. Not thread safe.
 */
#ifndef UBPFFS_TESTS_INSTANCE_H
#define UBPFFS_TESTS_INSTANCE_H

#include "core/prog.h"
#include "run/run.h"
#include "run/test_run.h"
#include "tests/lib/testprog.h"

enum engine { ENGINE_KERNEL, ENGINE_JIT, ENGINE_INTERP, ENGINE_MAX };

#define INSTANCE_MAPS  16
#define INSTANCE_TAILS 4

struct instance {
	enum engine engine;
	const struct bpf_map_spec *specs;
	u32 map_cnt;
	int map_fds[INSTANCE_MAPS], prog_fd; /* ENGINE_KERNEL */
	struct bpf_map *maps[INSTANCE_MAPS]; /* ours */
	struct bpf_prog *prog;
	char *log; /* of the last load, "" when none; owned */
	int err; /* of a map that could not be made or filled */
	struct instance *tails[INSTANCE_TAILS]; /* owned */
	u32 tail_cnt;
};

const char *engine_name(enum engine engine);

/*
 * Never NULL: aborts when memory is out; other faults are in ->err and come back from
 * instance_load().
 */
struct instance *instance_new(enum engine engine, const struct bpf_map_spec *specs, u32 map_cnt);
/* Another program over the same maps. */
struct instance *instance_beside(const struct instance *base);
void instance_update(struct instance *in, u32 map, const void *key, const void *value);
void instance_freeze(struct instance *in, u32 map);
int instance_load(struct instance *in, const struct bpf_prog_load_attr *attr, u32 log_level);
int instance_set_slot(struct instance *in, u32 map, u32 slot, const struct instance *other);
int instance_run(struct instance *in, struct bpf_test_run *run);
void instance_free(struct instance *in);

/*
 * Every entry, key then value, sorted: malloc()ed, *size bytes. NULL for maps that hold no plain
 * values (prog arrays and the like).
 */
void *instance_dump(struct instance *in, u32 map, size_t *size);

/* A row of the table, with its maps, their content and its tail calls. The verdict goes to *err. */
struct instance *instance_of_row(enum engine engine, const struct testprog *row, u32 log_level,
				 int *err);

#endif
