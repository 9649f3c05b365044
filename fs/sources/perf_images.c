/*
 * perf_images.c - see perf_images.h
 */
#include <sys/mman.h>
#include <time.h>
#include "fs/agent/service/stack/maps.h"
#include "fs/sources/images.h"
#include "fs/sources/perf_images.h"
#include "util/clock.h"

#define READ_MS 2000

void perf_images_map(struct image_source *images, const void *body, size_t size)
{
	struct {
		u32 pid, tid;
		u64 addr, len, pgoff;
		u32 major, minor;
		u64 ino, ino_generation;
		u32 prot, flags;
	} rec;
	const char *path = (const char *)body + sizeof(rec);

	if (size <= sizeof(rec) || !memchr(path, 0, size - sizeof(rec)))
		return;
	memcpy(&rec, body, sizeof(rec));
	if (rec.prot & PROT_EXEC && rec.addr + rec.len > rec.addr)
		image_map(images, rec.pid,
			  &(struct image_map){rec.addr, rec.addr + rec.len, rec.pgoff, rec.ino,
					      (u64)time(NULL), 0, 0},
			  path);
}

/* ---- what was there before */

static void take(struct image_source *images, const struct image *img)
{
	image_exec(images, img->pid);
	for (u32 i = 0; i < img->nr; i++)
		image_map(images, img->pid, &img->maps[i], image_path(img, &img->maps[i]));
}

void perf_images_read(struct source *src, struct image_source *images, pid_t pid)
{
	const struct maps_request request = {pid};
	__do_free void *buf = malloc(IMAGE_MESSAGE);
	__do_close int sock = buf ? source_agent(src, AGENT_MAPS, &request, sizeof(request), NULL)
				  : -1;
	u64 end = monotonic_ms() + READ_MS, now;
	struct image img;
	ssize_t len;

	if (sock < 0 || agent_status(sock, src->stop_fd, READ_MS, NULL))
		return;
	while ((now = monotonic_ms()) < end) {
		len = agent_recv(sock, buf, IMAGE_MESSAGE, NULL, src->stop_fd, (int)(end - now));
		if (len <= 0 || !image_read(buf, (size_t)len, &img))
			return;
		take(images, &img);
	}
}
