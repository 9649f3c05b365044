/*
 * mmap.c - see mmap.h
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tools/run/caller/inject.h"
#include "tools/run/commands/mmap.h"
#include "tools/run/commands/object.h"
#include "tools/run/caller/run.h"

#define PAGE 4096u

struct piece { /* of the caller's mapping, one behind the other */
	uint64_t len, off;
};

/* What one mmap(2) of a map becomes. */
struct plan {
	const char *dir; /* of ids/ */
	int flags; /* to open its file */
	struct piece pieces[2];
	unsigned int nr;
};

/*
 * As the kernel's array_map_mmap() and ringbuf_map_mmap_kern() have it: an array whole or in part;
 * a ring buffer's page for the consumer, then the producers' page and the data, twice, for reading.
 */
static int make_plan(const struct caller *c, const struct object *map, struct plan *plan)
{
	uint64_t len = (CALLER_ARG(c, 1) + PAGE - 1) / PAGE * PAGE, off = CALLER_ARG(c, 5);
	bool writes = CALLER_ARG(c, 2) & PROT_WRITE;
	int mode = fcntl(map->fd, F_GETFL) & O_ACCMODE;
	uint64_t data = map->map.max_entries, once;

	if (!len || off % PAGE || CALLER_ARG(c, 1) > len)
		return -EINVAL;
	if (writes && mode != O_RDWR)
		return -EPERM;
	plan->flags = writes ? O_RDWR : O_RDONLY;
	if (map->map.type == BPF_MAP_TYPE_ARRAY && map->map.map_flags & BPF_F_MMAPABLE) {
		plan->dir = "mem";
		plan->pieces[plan->nr++] = (struct piece){len, off};
		return 0;
	}
	if (map->map.type != BPF_MAP_TYPE_RINGBUF)
		return map->map.type == BPF_MAP_TYPE_ARRAY ? -EINVAL : -ENODEV;
	if (!off) {
		plan->dir = "consumer";
		plan->pieces[plan->nr++] = (struct piece){PAGE, 0};
		return len == PAGE ? 0 : -EPERM;
	}
	if (writes)
		return -EPERM;
	if (off > 2 * PAGE + 2 * data || len > 2 * PAGE + 2 * data - off)
		return -EINVAL;
	plan->dir = "ring";
	if (off >= 2 * PAGE + data)
		off -= data; /* in the second copy */
	once = 2 * PAGE + data - off;
	once = len < once ? len : once;
	plan->pieces[plan->nr++] = (struct piece){once, off};
	if (len > once)
		plan->pieces[plan->nr++] = (struct piece){len - once, 2 * PAGE};
	return 0;
}

/* In ids/, with the caller's rights; a user's server shows links to its own memory. */
static int open_memory(const struct plan *plan, uint32_t id)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "ids/%s/%u", plan->dir, id);
	fd = openat(run_mount.fd, path, plan->flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool failed(long ret)
{
	return ret < 0 && ret >= -4095;
}

/* The caller's thread maps the pieces of its file `fd`: one that fails takes back the others. */
static long map_pieces(struct inject *in, const struct plan *plan, int fd)
{
	const struct caller *c = in->c;
	uint64_t flags = CALLER_ARG(c, 3), prot = CALLER_ARG(c, 2);
	uint64_t whole[6] = {CALLER_ARG(c, 0),	 CALLER_ARG(c, 1), prot, flags, fd,
			     plan->pieces[0].off};
	uint64_t at;
	long base, ret;

	if (plan->nr == 1)
		return inject_call(in, SYS_mmap, whole);
	whole[2] = PROT_NONE;
	whole[3] = (flags & ~(uint64_t)MAP_TYPE) | MAP_PRIVATE | MAP_ANONYMOUS;
	whole[4] = -1;
	whole[5] = 0;
	base = inject_call(in, SYS_mmap, whole);
	if (failed(base))
		return base;
	at = base;
	for (unsigned int i = 0; i < plan->nr; i++) {
		uint64_t args[6] = {at, plan->pieces[i].len, prot, flags | MAP_FIXED,
				    fd, plan->pieces[i].off};

		args[3] &= ~(uint64_t)MAP_FIXED_NOREPLACE;
		ret = inject_call(in, SYS_mmap, args);
		if (failed(ret)) {
			uint64_t unmap[6] = {base, CALLER_ARG(c, 1)};

			inject_call(in, SYS_munmap, unmap);
			return ret;
		}
		at += plan->pieces[i].len;
	}
	return base;
}

/* The caller's thread maps them of the file at hand, which is closed. 0: answered. */
static int inject_plan(struct caller *c, const struct plan *plan, int fd)
{
	struct inject in;
	int err, theirs = caller_add(c, fd);
	uint64_t args[6] = {0};
	long ret;

	close(fd);
	if (theirs < 0)
		return theirs;
	err = inject_begin(&in, c);
	if (err)
		return err;
	ret = map_pieces(&in, plan, theirs);
	args[0] = theirs;
	inject_call(&in, SYS_close, args);
	inject_end(&in, ret);
	return 0;
}

static int map_it(struct caller *c, const struct object *map)
{
	struct plan plan = {0};
	int err = make_plan(c, map, &plan), fd;

	if (err)
		return err;
	fd = open_memory(&plan, map->map.id);
	if (fd < 0)
		return fd == -ENOENT ? -ENODEV : fd;
	return inject_plan(c, &plan, fd);
}

/*
 * An event's ring has the size of its first mapping, which the server makes then; 1: the kernel can
 * map it as it is, 0: answered.
 */
static int map_event(struct caller *c, const struct object *event)
{
	struct plan plan = {.nr = 1};
	uint64_t len = CALLER_ARG(c, 1);
	struct ubpffs_io io = {.out_len = 64};
	char path[64] = "";
	int err, fd;

	if (CALLER_ARG(c, 5))
		return -EINVAL;
	err = mount_command(event->fd, UBPFFS_EVENT_RING, &io, &len, sizeof(len), path);
	if (err)
		return err == -EDQUOT ? -EPERM : err; /* the kernel's, beyond RLIMIT_MEMLOCK */
	if (!io.out_len)
		return 1;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : inject_plan(c, &plan, fd);
}

/* Of an array the kernel maps nothing behind its end; a file could be, and then ends its reader. */
static bool lies_inside(const struct caller *c, const struct object *map)
{
	uint64_t size = (map->map.value_size + 7ull) / 8 * 8 * map->map.max_entries;
	uint64_t len = CALLER_ARG(c, 1), off = CALLER_ARG(c, 5);

	if (map->map.type != BPF_MAP_TYPE_ARRAY)
		return true;
	size = (size + PAGE - 1) / PAGE * PAGE;
	return len <= size && off <= size - len;
}

/* Can the kernel do it as it is? */
static bool maps_itself(int fd)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, PAGE);
	return true;
}

void run_mmap(struct caller *c)
{
	struct object map;
	int err;

	if (caller_become(c))
		return;
	err = object_of_fd(c, CALLER_ARG(c, 4), 0, &map);
	if (!err && map.kind == UBPFFS_EVENT) {
		err = map_event(c, &map);
		if (err < 0)
			caller_answer(c, err);
	} else if (err || map.kind != UBPFFS_MAP) {
		; /* the kernel says what is wrong with it */
	} else if (!lies_inside(c, &map)) {
		caller_answer(c, -EINVAL);
	} else if (!maps_itself(map.fd)) {
		err = map_it(c, &map);
		if (err)
			caller_answer(c, err);
	}
	object_end(&map);
	caller_return();
}
