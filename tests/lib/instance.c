/*
 * instance.c - one set of calls over bpf(2) and over the engine
 */
#include "rcu/rcu.h"
#include "load.h"
#include "run/test_run.h"
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/instance.h"
#include "tests/lib/kernel.h"

#define KERNEL_LOG_SIZE (16u << 20)

const char *engine_name(enum engine engine)
{
	static const char *const names[] = {"kernel", "JIT", "interpreter"};

	return names[engine];
}

static void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

struct instance *instance_new(enum engine engine, const struct bpf_map_spec *specs, u32 map_cnt)
{
	struct instance *in = xcalloc(1, sizeof(*in));

	in->engine = engine;
	in->specs = specs;
	in->prog_fd = -1;
	in->log = strdup("");
	if (map_cnt > INSTANCE_MAPS)
		abort();
	for (u32 i = 0; i < map_cnt && !in->err; i++) {
		if (engine == ENGINE_KERNEL) {
			in->map_fds[i] = kernel_map_create(&specs[i]);
			in->err = min(in->map_fds[i], 0);
		} else {
			in->err = bpf_map_create(&specs[i], 0, -1, -1, &in->maps[i]);
		}
		in->map_cnt += !in->err;
	}
	return in;
}

struct instance *instance_beside(const struct instance *base)
{
	struct instance *in = instance_new(base->engine, base->specs, 0);

	in->err = base->err;
	for (u32 i = 0; i < base->map_cnt; i++) {
		if (in->engine == ENGINE_KERNEL) {
			in->map_fds[i] = dup(base->map_fds[i]);
			if (in->map_fds[i] < 0)
				abort();
		} else {
			in->maps[i] = base->maps[i];
			bpf_map_inc(in->maps[i]);
		}
		in->map_cnt++;
	}
	return in;
}

void instance_update(struct instance *in, u32 map, const void *key, const void *value)
{
	int err = in->err;

	if (!err && in->engine == ENGINE_KERNEL)
		err = kernel_map_update(in->map_fds[map], key, value, BPF_ANY);
	else if (!err)
		err = bpf_map_update(in->maps[map], key, value, BPF_ANY);
	in->err = err;
}

void instance_freeze(struct instance *in, u32 map)
{
	if (!in->err && in->engine == ENGINE_KERNEL)
		in->err = kernel_map_freeze(in->map_fds[map]);
	else if (!in->err)
		in->err = bpf_map_freeze(in->maps[map]);
}

/*
 * The verdict is that of a load without a log: one that did not fit is ENOSPC in Linux, accepted or
 * not. At level 1 only a refusal has anything to say.
 */
static int load_kernel(struct instance *in, const struct bpf_prog_load_attr *attr, u32 log_level)
{
	static char *log;
	int fd;

	in->prog_fd = kernel_prog_load(attr, in->map_fds, 0, NULL, 0);
	if (!log_level || (log_level == BPF_LOG_LEVEL1 && in->prog_fd >= 0))
		return min(in->prog_fd, 0);
	if (!log)
		log = xcalloc(1, KERNEL_LOG_SIZE);
	fd = kernel_prog_load(attr, in->map_fds, log_level, log, KERNEL_LOG_SIZE);
	if (fd >= 0)
		close(fd);
	free(in->log);
	in->log = strdup(log);
	return min(in->prog_fd, 0);
}

static int load_ours(struct instance *in, const struct bpf_prog_load_attr *attr, u32 log_level)
{
	struct bpf_prog_load_attr a = *attr;
	struct bpf_log log;
	int err;

	bpf_log_init(&log, log_level, 0);
	a.maps = in->maps;
	a.map_cnt = in->map_cnt;
	a.no_jit = in->engine == ENGINE_INTERP;
	if (!a.license)
		a.license = "GPL";
	err = bpf_prog_load(&a, &log, NULL, NULL, &in->prog);
	free(in->log);
	in->log = strdup(bpf_log_text(&log));
	bpf_log_free(&log);
	return err;
}

int instance_load(struct instance *in, const struct bpf_prog_load_attr *attr, u32 log_level)
{
	if (in->err)
		return in->err;
	return in->engine == ENGINE_KERNEL ? load_kernel(in, attr, log_level)
					   : load_ours(in, attr, log_level);
}

int instance_set_slot(struct instance *in, u32 map, u32 slot, const struct instance *other)
{
	if (in->engine == ENGINE_KERNEL)
		return kernel_map_update(in->map_fds[map], &slot, &other->prog_fd, BPF_ANY);
	return bpf_map_update_slot(in->maps[map], &slot, other->prog, BPF_ANY);
}

int instance_run(struct instance *in, struct bpf_test_run *run)
{
	return in->engine == ENGINE_KERNEL ? kernel_test_run(in->prog_fd, run)
					   : bpf_prog_test_run(in->prog, run);
}

void instance_free(struct instance *in)
{
	if (!in)
		return;
	if (in->prog_fd >= 0)
		close(in->prog_fd);
	if (in->prog)
		bpf_prog_put(in->prog);
	for (u32 i = 0; i < in->map_cnt; i++) {
		if (in->engine == ENGINE_KERNEL)
			close(in->map_fds[i]);
		else
			bpf_map_put(in->maps[i]);
	}
	for (u32 i = 0; i < in->tail_cnt; i++)
		instance_free(in->tails[i]);
	free(in->log);
	free(in);
}

/* ---- content */

static int next_key(struct instance *in, u32 map, const void *key, void *next)
{
	return in->engine == ENGINE_KERNEL ? kernel_map_next_key(in->map_fds[map], key, next)
					   : bpf_map_next_key(in->maps[map], key, next);
}

static int lookup(struct instance *in, u32 map, const void *key, void *value)
{
	return in->engine == ENGINE_KERNEL ? kernel_map_lookup(in->map_fds[map], key, value)
					   : bpf_map_lookup(in->maps[map], key, value, 0);
}

static __thread u32 sort_size;

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sort_size);
}

void *instance_dump(struct instance *in, u32 map, size_t *size)
{
	const struct bpf_map_spec *spec = &in->specs[map];
	u32 entry = spec->key_size + spec->value_size;
	u8 *blob = NULL, *key = NULL;
	size_t n = 0;

	if (spec->map_type != BPF_MAP_TYPE_ARRAY && spec->map_type != BPF_MAP_TYPE_HASH &&
	    spec->map_type != BPF_MAP_TYPE_LRU_HASH)
		return NULL;
	blob = xcalloc(spec->max_entries, entry);
	while (n < spec->max_entries) {
		u8 *at = blob + n * entry;

		if (next_key(in, map, key, at))
			break;
		if (lookup(in, map, at, at + spec->key_size))
			break;
		key = at;
		n++;
	}
	sort_size = entry;
	qsort(blob, n, entry, by_bytes);
	*size = n * entry;
	return blob;
}

/* ---- rows of the table */

static int set_tails(struct instance *in, const struct testprog *row)
{
	int err = 0;

	for (u32 i = 0; i < row->tail_cnt && !err; i++) {
		const struct testprog_tail *tail = &row->tails[i];
		struct instance *other = in;

		if (tail->name) {
			other = instance_of_row(in->engine, testprog_find(tail->name), 0, &err);
			in->tails[in->tail_cnt++] = other;
		}
		if (!err)
			err = instance_set_slot(in, 0, tail->slot, other);
	}
	return err;
}

struct instance *instance_of_row(enum engine engine, const struct testprog *row, u32 log_level,
				 int *err)
{
	struct instance *in = instance_new(engine, row->maps, testprog_map_cnt(row));
	const struct bpf_prog_load_attr attr = {
		.prog_type = row->type,
		.expected_attach_type = row->expected_attach_type,
		.name = "row",
		.license = "GPL",
		.insns = row->insns,
		.insn_cnt = testprog_len(row),
	};

	for (u32 i = 0; i < row->elem_cnt; i++)
		instance_update(in, row->elems[i].map, &row->elems[i].key, &row->elems[i].value);
	*err = instance_load(in, &attr, log_level);
	if (!*err)
		*err = set_tails(in, row);
	return in;
}
