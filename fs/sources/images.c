/*
 * images.c - see images.h
 *
 * A number is a slot's and how often the slot was used before, so that it is found without a search
 * and does not come again.
 */
#include <pthread.h>
#include <time.h>
#include "fs/sources/images.h"

#define BUCKETS 4096 /* a power of two */

struct process {
	struct process *next;
	const struct image_source *src;
	u32 pid, image;
};

struct slot {
	struct image img; /* id 0: free */
	uid_t uid;
	u32 processes;
	u32 uses;
	u64 order; /* when it lost its last process */
};

static struct {
	pthread_mutex_t lock;
	struct slot v[IMAGES];
	u64 clock, bytes;
	u32 nr;
	struct process *processes[BUCKETS];
} images = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct slot *__find(u32 id)
{
	struct slot *s = &images.v[id % IMAGES];

	return id && s->img.id == id ? s : NULL;
}

static void __drop(struct slot *s)
{
	images.bytes -= image_bytes(&s->img);
	images.nr--;
	image_free(&s->img);
}

static bool is_half(u32 n, u64 bytes)
{
	return n >= IMAGES / 2 || bytes >= IMAGES_BYTES / 2;
}

/* Has that user half of the room, with an image of these bytes? All may have less together. */
static bool __has_half(uid_t uid, u64 bytes)
{
	u32 n = 0;

	if (!is_half(images.nr, images.bytes + bytes))
		return false;
	for (u32 i = 0; i < IMAGES; i++)
		if (images.v[i].img.id && images.v[i].uid == uid) {
			n++;
			bytes += image_bytes(&images.v[i].img);
		}
	return is_half(n, bytes);
}

/* B. False: all of that user's have processes. */
static bool __drop_oldest(uid_t uid)
{
	struct slot *oldest = NULL;

	for (u32 i = 0; i < IMAGES; i++) {
		struct slot *s = &images.v[i];

		if (s->img.id && s->uid == uid && !s->processes &&
		    (!oldest || s->order < oldest->order))
			oldest = s;
	}
	if (oldest)
		__drop(oldest);
	return oldest;
}

static int by_number(const void *a, const void *b)
{
	uid_t x = *(const uid_t *)a, y = *(const uid_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorted, as users take turns in the slots. */
static uid_t __user_with_most(void)
{
	static uid_t uids[IMAGES];
	u32 nr = 0, n = 0, most = 0;
	uid_t uid = 0;

	for (u32 i = 0; i < IMAGES; i++)
		if (images.v[i].img.id)
			uids[nr++] = images.v[i].uid;
	qsort(uids, nr, sizeof(*uids), by_number);
	for (u32 i = 0; i < nr; i++) {
		n = i && uids[i] == uids[i - 1] ? n + 1 : 1;
		if (n > most) {
			most = n;
			uid = uids[i];
		}
	}
	return uid;
}

static struct slot *__free_slot(void)
{
	for (u32 i = 0; i < IMAGES; i++)
		if (!images.v[i].img.id && images.v[i].uses < UINT32_MAX / IMAGES)
			return &images.v[i];
	return NULL;
}

/* Takes over what `img` holds, or frees it. NULL: there is no room. */
static struct slot *__put(uid_t uid, struct image *img)
{
	struct slot *s;

	while (__has_half(uid, image_bytes(img)))
		if (!__drop_oldest(uid))
			goto none;
	while (!(s = __free_slot()) || images.bytes + image_bytes(img) > IMAGES_BYTES)
		if (!__drop_oldest(__user_with_most()))
			goto none;
	s->img = *img;
	s->img.id = ++s->uses * IMAGES + (u32)(s - images.v);
	s->uid = uid;
	s->processes = 1;
	images.bytes += image_bytes(img);
	images.nr++;
	return s;
none:
	image_free(img);
	return NULL;
}

static void __end(struct slot *s)
{
	if (s->processes && !--s->processes) {
		s->order = ++images.clock;
		s->img.ended = (u64)time(NULL);
	}
}

/* A. */
static struct slot *__own(struct slot *s, u32 pid)
{
	struct image copy;
	uid_t uid = s->uid;
	int err = image_copy(&copy, &s->img);

	__end(s);
	copy.pid = pid;
	copy.ended = 0;
	return err ? NULL : __put(uid, &copy);
}

/* ---- processes */

static struct process **__process(const struct image_source *src, u32 pid)
{
	struct process **p = &images.processes[pid & (BUCKETS - 1)];

	while (*p && ((*p)->pid != pid || (*p)->src != src))
		p = &(*p)->next;
	return p;
}

static void __end_of(u32 image)
{
	struct slot *s = __find(image);

	if (s)
		__end(s);
}

static u32 __of(const struct image_source *src, u32 pid)
{
	struct process *p = *__process(src, pid);

	return p ? p->image : 0;
}

/* Takes over one use of the image. */
static void __set(struct image_source *src, u32 pid, u32 image)
{
	struct process **at = __process(src, pid), *p = *at;

	if (!p && src->processes < IMAGE_PROCESSES)
		p = calloc(1, sizeof(*p));
	if (!p) {
		__end_of(image);
		return;
	}
	if (*at) {
		__end_of(p->image);
	} else {
		*p = (struct process){.src = src, .pid = pid};
		*at = p;
		src->processes++;
	}
	p->image = image;
}

static void __exit_of(struct image_source *src, struct process **at)
{
	struct process *p = *at;

	*at = p->next;
	src->processes--;
	__end_of(p->image);
	free(p);
}

u32 image_of(const struct image_source *src, u32 pid)
{
	u32 image;

	pthread_mutex_lock(&images.lock);
	image = __of(src, pid);
	pthread_mutex_unlock(&images.lock);
	return image;
}

void image_exec(struct image_source *src, u32 pid)
{
	struct image img = {.pid = pid};
	struct slot *s;

	pthread_mutex_lock(&images.lock);
	s = __put(src->uid, &img);
	__set(src, pid, s ? s->img.id : 0);
	pthread_mutex_unlock(&images.lock);
}

void image_fork(struct image_source *src, u32 pid, u32 parent)
{
	struct slot *s;

	pthread_mutex_lock(&images.lock);
	s = __find(__of(src, parent));
	if (s)
		s->processes++;
	__set(src, pid, s ? s->img.id : 0);
	pthread_mutex_unlock(&images.lock);
}

void image_exit(struct image_source *src, u32 pid)
{
	struct process **at;

	pthread_mutex_lock(&images.lock);
	at = __process(src, pid);
	if (*at)
		__exit_of(src, at);
	pthread_mutex_unlock(&images.lock);
}

void image_source_end(struct image_source *src)
{
	struct process **p;

	pthread_mutex_lock(&images.lock);
	for (u32 i = 0; i < BUCKETS; i++)
		for (p = &images.processes[i]; *p;)
			if ((*p)->src == src)
				__exit_of(src, p);
			else
				p = &(*p)->next;
	pthread_mutex_unlock(&images.lock);
}

u32 images_of_process(u32 pid, u32 *ids, u32 max)
{
	u32 n = 0;

	pthread_mutex_lock(&images.lock);
	for (struct process *p = images.processes[pid & (BUCKETS - 1)]; p && n < max; p = p->next)
		if (p->pid == pid && p->image)
			ids[n++] = p->image;
	pthread_mutex_unlock(&images.lock);
	return n;
}

static u32 __map(u32 id, u32 pid, const struct image_map *map, const char *path)
{
	struct slot *s = __find(id);
	u64 before;

	if (!s || image_holds(&s->img, map, path))
		return id;
	if (s->processes > 1 || image_differs(&s->img, map, path))
		s = __own(s, pid);
	if (!s)
		return 0;
	before = image_bytes(&s->img);
	image_add(&s->img, map, path);
	images.bytes += image_bytes(&s->img) - before;
	return s->img.id;
}

void image_map(struct image_source *src, u32 pid, const struct image_map *map, const char *path)
{
	struct image_map new = *map;
	struct process *p;

	if (image_path_is_none(path)) {
		path = "";
		new.offset = new.start;
		new.ino = 0;
	}
	pthread_mutex_lock(&images.lock);
	p = *__process(src, pid);
	if (p)
		p->image = __map(p->image, pid, &new, path);
	pthread_mutex_unlock(&images.lock);
}

bool image_get(u32 id, uid_t uid, struct image *out)
{
	struct slot *s;
	bool ok;

	pthread_mutex_lock(&images.lock);
	s = __find(id);
	ok = s && !image_copy(out, &s->img);
	if (ok)
		out->foreign = uid && uid != s->uid;
	pthread_mutex_unlock(&images.lock);
	return ok;
}
