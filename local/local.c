/*
 * local.c - see ubpffs_local.h
 *
 * Opening goes: the program's descriptor, its id, its image; for each map that the image names its
 * descriptor, its definition, the file of its values; and then the engine loads. Descriptors of
 * maps stay open as long as the program is: an object that somebody has open lives, and so does its
 * file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine/ubpffs_engine.h"
#include "local/ubpffs_local.h"
#include "uapi/ubpffs.h"
#include "uapi/ubpffs_client.h"

#define EXPORT	   __attribute__((visibility("default")))
#define MAX_MAPS   64
#define IMAGE_ROOM (256u << 10) /* doubled until the image fits */

struct shared_map {
	uint32_t id;
	char name[BPF_OBJ_NAME_LEN];
	int fd; /* keeps it alive in the server */
	struct bpf_map *map;
};

struct program { /* one that was opened */
	struct bpf_prog *prog;
	uint32_t id;
	int fd;
	struct shared_map maps[MAX_MAPS];
	int map_cnt;
};

struct ubpffs_local {
	char *path;
	struct ubpffs_load_opts opts;
	struct program now;
	char error[1024];
	char *report;
};

/* ---- why */

static int fail(struct ubpffs_local *local, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct ubpffs_local *local, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(local->error, sizeof(local->error), fmt, args);
	va_end(args);
	return err;
}

static void forget_error(struct ubpffs_local *local)
{
	local->error[0] = 0;
	free(local->report);
	local->report = NULL;
}

EXPORT const char *ubpffs_local_error(const struct ubpffs_local *local)
{
	if (!local)
		return "";
	return local->report ? local->report : local->error;
}

/* ---- maps */

static void drop_map(struct shared_map *m)
{
	ubpffs_map_put(m->map);
	if (m->fd >= 0)
		close(m->fd);
}

/* A map that nobody may write is opened for reading. */
static int open_map(uint32_t id)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "ids/map/%u", id);
	fd = ubpfc_open(path, O_RDWR);
	if (fd < 0 && (errno == EPERM || errno == EACCES))
		fd = ubpfc_open(path, O_RDONLY);
	return fd < 0 ? -errno : fd;
}

static int map_memory(struct ubpffs_local *local, const struct bpf_map_info *info, int fd,
		      struct ubpffs_map_memory *memory)
{
	struct ubpffs_io io = {.out_len = sizeof(*memory)};

	if (!ubpfc_command(fd, UBPFFS_MAP_MEMORY, &io, NULL, 0, memory) &&
	    io.out_len == sizeof(*memory) && memchr(memory->path, 0, sizeof(memory->path)))
		return 0;
	if (errno == EOPNOTSUPP)
		return fail(local, -EOPNOTSUPP,
			    "map %s (type %u): only arrays without locks, and lookups in hash "
			    "maps, can be shared with a process, as it may be killed in the middle "
			    "of a change",
			    info->name, info->type);
	if (errno == EACCES)
		return fail(local, -EACCES, "map %s: the server runs as another user", info->name);
	return fail(local, -errno, "map %s: %s", info->name, strerror(errno));
}

static int share_map(struct ubpffs_local *local, struct shared_map *m)
{
	struct ubpffs_map_memory memory;
	struct bpf_map_info info = {0};
	unsigned int len = sizeof(info);
	struct ubpffs_map_spec spec;
	int fd, err;

	m->fd = open_map(m->id);
	if (m->fd < 0)
		return fail(local, m->fd, "map %u: %s", m->id, strerror(-m->fd));
	if (ubpfc_obj_get_info_by_fd(m->fd, &info, &len))
		return fail(local, -errno, "map %u: %s", m->id, strerror(errno));
	memcpy(m->name, info.name, sizeof(m->name));
	m->name[sizeof(m->name) - 1] = 0;
	err = map_memory(local, &info, m->fd, &memory);
	if (err)
		return err;
	fd = open(memory.path, (memory.rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return fail(local, -errno, "map %s: its values, %s: %s", m->name, memory.path,
			    strerror(errno));
	spec = (struct ubpffs_map_spec){.type = info.type,
					.key_size = info.key_size,
					.value_size = info.value_size,
					.max_entries = info.max_entries,
					.flags = info.map_flags,
					.name = m->name};
	err = ubpffs_map_share(&spec, fd, memory.rdonly, &m->map);
	close(fd);
	if (!err && memory.frozen && !memory.rdonly)
		err = ubpffs_map_freeze(m->map);
	return err ? fail(local, err, "map %s: %s", m->name, strerror(-err)) : 0;
}

struct map_walk {
	struct ubpffs_local *local;
	struct program *p;
};

static int get_map(void *ctx, uint32_t id, struct bpf_map **map)
{
	struct map_walk *w = ctx;
	struct shared_map *m;
	int err;

	if (w->p->map_cnt == MAX_MAPS)
		return fail(w->local, -E2BIG, "more than %d maps", MAX_MAPS);
	m = &w->p->maps[w->p->map_cnt];
	*m = (struct shared_map){.id = id, .fd = -1};
	err = share_map(w->local, m);
	if (err) {
		drop_map(m);
		return err;
	}
	w->p->map_cnt++;
	*map = m->map;
	ubpffs_map_get(*map);
	return 0;
}

/* ---- programs */

static void drop_program(struct program *p)
{
	ubpffs_prog_put(p->prog);
	for (int i = 0; i < p->map_cnt; i++)
		drop_map(&p->maps[i]);
	if (p->fd >= 0)
		close(p->fd);
	*p = (struct program){.fd = -1};
}

static int read_image(struct ubpffs_local *local, int fd, void **image, size_t *size)
{
	for (size_t room = IMAGE_ROOM; room <= UBPFFS_XFER_MAX; room *= 2) {
		struct ubpffs_io io = {.flags = UBPFFS_PROG_IMAGE, .out_len = (unsigned int)room};

		*image = malloc(room);
		if (!*image)
			return -ENOMEM;
		if (!ubpfc_command(fd, UBPFFS_PROG_PART, &io, NULL, 0, *image)) {
			*size = io.out_len;
			return 0;
		}
		free(*image);
		*image = NULL;
		if (errno != E2BIG)
			break;
	}
	if (errno == EACCES)
		return fail(local, -EACCES,
			    "%s: the program is another user's, or the server runs as one",
			    local->path);
	return fail(local, -errno, "%s: %s", local->path, strerror(errno));
}

static int load_program(struct ubpffs_local *local, struct program *p)
{
	struct ubpffs_verdict verdict = {.size = sizeof(verdict)};
	struct ubpffs_load_opts opts = local->opts;
	struct map_walk walk = {local, p};
	void *image = NULL;
	size_t size = 0;
	int err = read_image(local, p->fd, &image, &size);

	if (err)
		return err;
	opts.verdict = &verdict;
	err = ubpffs_image_load(image, size, &opts, get_map, &walk, &p->prog);
	free(image);
	if (err && verdict.report) {
		local->report = verdict.report;
		verdict.report = NULL;
	} else if (err && !local->error[0]) {
		fail(local, err, "%s: %s", local->path, strerror(-err));
	}
	ubpffs_verdict_free(&verdict);
	return err;
}

/* What the path names now. */
static int find_program(struct ubpffs_local *local, struct program *p)
{
	struct bpf_prog_info info = {0};
	unsigned int len = sizeof(info);

	p->fd = ubpfc_obj_get(local->path);
	if (p->fd < 0)
		return fail(local, -errno, "%s: %s", local->path, strerror(errno));
	/* A map has another structure, and no type of a program where one has it. */
	if (ubpfc_obj_get_info_by_fd(p->fd, &info, &len))
		return fail(local, -errno, "%s: %s", local->path, strerror(errno));
	p->id = info.id;
	return 0;
}

EXPORT int ubpffs_local_update(struct ubpffs_local *local)
{
	struct program next = {.fd = -1};
	int err;

	forget_error(local);
	err = find_program(local, &next);
	if (!err && local->now.prog && next.id == local->now.id) {
		drop_program(&next);
		return 0;
	}
	if (!err)
		err = load_program(local, &next);
	if (err) {
		drop_program(&next);
		return err;
	}
	drop_program(&local->now);
	local->now = next;
	return 1;
}

EXPORT int ubpffs_local_open(const char *path, const struct ubpffs_load_opts *opts,
			     struct ubpffs_local **out)
{
	struct ubpffs_local *local = calloc(1, sizeof(*local));
	int err;

	*out = local;
	if (!local)
		return -ENOMEM;
	local->now.fd = -1;
	local->opts.size = sizeof(local->opts);
	if (opts && opts->size > sizeof(local->opts))
		return fail(local, -E2BIG, "the options are of a newer library");
	if (opts)
		memcpy(&local->opts, opts, opts->size);
	local->opts.size = sizeof(local->opts);
	local->path = strdup(path);
	if (!local->path)
		return -ENOMEM;
	err = ubpffs_local_update(local);
	return err < 0 ? err : 0;
}

EXPORT void ubpffs_local_close(struct ubpffs_local *local)
{
	if (!local)
		return;
	drop_program(&local->now);
	forget_error(local);
	free(local->path);
	free(local);
}

EXPORT struct bpf_prog *ubpffs_local_prog(const struct ubpffs_local *local)
{
	return local ? local->now.prog : NULL;
}

EXPORT struct bpf_map *ubpffs_local_map(const struct ubpffs_local *local, const char *name)
{
	for (int i = 0; local && i < local->now.map_cnt; i++)
		if (!strcmp(local->now.maps[i].name, name))
			return local->now.maps[i].map;
	return NULL;
}

EXPORT uint32_t ubpffs_local_id(const struct ubpffs_local *local)
{
	return local ? local->now.id : 0;
}
