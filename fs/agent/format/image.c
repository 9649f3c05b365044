/*
 * image.c - see image.h
 */
#include "fs/agent/format/image.h"

struct head {
	u32 id, pid, foreign, nr, names_len, unused;
	u64 ended;
};

bool image_path_is_none(const char *path)
{
	return !path[0] || !strncmp(path, "//", 2) || !strncmp(path, "[anon", 5) ||
	       !strcmp(path, "[heap]");
}

/* ---- changing */

static bool same_content(const struct image *img, const struct image_map *a,
			 const struct image_map *b, const char *path)
{
	return a->offset - a->start == b->offset - b->start && a->ino == b->ino &&
	       !strcmp(image_path(img, a), path);
}

static bool overlap(const struct image_map *a, const struct image_map *b)
{
	return a->start < b->end && b->start < a->end;
}

bool image_differs(const struct image *img, const struct image_map *map, const char *path)
{
	for (u32 i = 0; i < img->nr; i++)
		if (overlap(&img->maps[i], map) && !same_content(img, &img->maps[i], map, path))
			return true;
	return false;
}

bool image_holds(const struct image *img, const struct image_map *map, const char *path)
{
	for (u32 i = 0; i < img->nr; i++)
		if (img->maps[i].start <= map->start && map->end <= img->maps[i].end)
			return same_content(img, &img->maps[i], map, path);
	return false;
}

/* Its place among the names, or -errno. */
static s64 intern(struct image *img, const char *path)
{
	size_t len = strlen(path) + 1;
	char *names;

	for (u32 i = img->nr; i-- > 0;)
		if (!strcmp(image_path(img, &img->maps[i]), path))
			return img->maps[i].path;
	if (len > IMAGE_NAMES - img->names_len)
		return -E2BIG;
	if (img->names_len + len > img->names_cap) {
		u32 cap = min(2 * img->names_cap + 256 + (u32)len, (u32)IMAGE_NAMES);

		names = realloc(img->names, cap);
		if (!names)
			return -ENOMEM;
		img->names = names;
		img->names_cap = cap;
	}
	memcpy(img->names + img->names_len, path, len);
	img->names_len += (u32)len;
	return img->names_len - (u32)len;
}

static int reserve(struct image *img, u32 more)
{
	u32 cap = min(2 * img->cap + 16, (u32)IMAGE_MAPS);
	struct image_map *maps;

	if (img->nr + more <= img->cap)
		return 0;
	if (img->nr + more > cap)
		return -E2BIG;
	maps = realloc(img->maps, cap * sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	img->maps = maps;
	img->cap = cap;
	return 0;
}

static void insert(struct image *img, u32 at, const struct image_map *map)
{
	memmove(&img->maps[at + 1], &img->maps[at], (img->nr - at) * sizeof(*img->maps));
	img->maps[at] = *map;
	img->nr++;
}

static void remove_at(struct image *img, u32 at)
{
	img->nr--;
	memmove(&img->maps[at], &img->maps[at + 1], (img->nr - at) * sizeof(*img->maps));
}

static void begin_at(struct image_map *map, u64 start)
{
	map->offset += start - map->start;
	map->start = start;
}

/* Nothing is at these addresses any more. Where the next one stands. */
static u32 cut(struct image *img, u64 start, u64 end)
{
	struct image_map rest;
	u32 i = 0;

	while (i < img->nr && img->maps[i].end <= start)
		i++;
	while (i < img->nr && img->maps[i].start < end) {
		struct image_map *m = &img->maps[i];

		if (m->start < start) {
			rest = *m;
			m->end = start;
			if (rest.end > end) {
				begin_at(&rest, end);
				insert(img, i + 1, &rest);
			}
			i++;
		} else if (m->end > end) {
			begin_at(m, end);
		} else {
			remove_at(img, i);
		}
	}
	return i;
}

/* With the next one, if it goes on there. */
static void join(struct image *img, u32 i)
{
	struct image_map *a = &img->maps[i], *b = a + 1;

	if (i + 1 >= img->nr || a->end != b->start || !same_content(img, a, b, image_path(img, b)))
		return;
	a->end = b->end;
	a->time = max(a->time, b->time);
	remove_at(img, i + 1);
}

int image_add(struct image *img, const struct image_map *map, const char *path)
{
	struct image_map new = *map;
	s64 name;
	u32 at;
	int err;

	if (new.start >= new.end)
		return 0;
	err = reserve(img, 2);
	name = err ? err : intern(img, path);
	if (name < 0)
		return name == -E2BIG ? 0 : (int)name; /* C */
	new.path = (u32)name;
	at = cut(img, new.start, new.end);
	insert(img, at, &new);
	join(img, at);
	if (at)
		join(img, at - 1);
	return 0;
}

int image_copy(struct image *to, const struct image *from)
{
	*to = *from;
	to->maps = NULL;
	to->names = NULL;
	to->cap = from->nr;
	to->names_cap = from->names_len;
	if (from->nr) {
		to->maps = malloc(from->nr * sizeof(*to->maps));
		to->names = malloc(from->names_len);
	}
	if (!from->nr || (to->maps && to->names)) {
		if (from->nr) {
			memcpy(to->maps, from->maps, from->nr * sizeof(*to->maps));
			memcpy(to->names, from->names, from->names_len);
		}
		return 0;
	}
	image_free(to);
	return -ENOMEM;
}

void image_free(struct image *img)
{
	free(img->maps);
	free(img->names);
	*img = (struct image){0};
}

size_t image_bytes(const struct image *img)
{
	return sizeof(*img) + img->cap * sizeof(*img->maps) + img->names_cap;
}

/* ---- messages */

size_t image_write(const struct image *img, void *buf)
{
	const struct head head = {img->id,	  img->pid, img->foreign, img->nr,
				  img->names_len, 0,	    img->ended};
	size_t maps = img->nr * sizeof(*img->maps);
	char *p = buf;

	memcpy(p, &head, sizeof(head));
	if (img->nr) {
		memcpy(p + sizeof(head), img->maps, maps);
		memcpy(p + sizeof(head) + maps, img->names, img->names_len);
	}
	return sizeof(head) + maps + img->names_len;
}

bool image_read(const void *buf, size_t len, struct image *out)
{
	const struct head *head = buf;
	u64 end = 0;

	*out = (struct image){0};
	if (len < sizeof(*head) || head->nr > IMAGE_MAPS || head->names_len > IMAGE_NAMES ||
	    len != sizeof(*head) + head->nr * sizeof(struct image_map) + head->names_len)
		return false;
	*out = (struct image){.id = head->id,
			      .pid = head->pid,
			      .foreign = head->foreign,
			      .ended = head->ended,
			      .nr = head->nr,
			      .names_len = head->names_len};
	out->maps = (struct image_map *)(head + 1);
	out->names = (char *)(out->maps + out->nr);
	if (out->nr && (!out->names_len || out->names[out->names_len - 1]))
		return false;
	for (u32 i = 0; i < out->nr; i++) {
		const struct image_map *m = &out->maps[i];

		if (m->start < end || m->end <= m->start || m->path >= out->names_len)
			return false;
		end = m->end;
	}
	return true;
}
