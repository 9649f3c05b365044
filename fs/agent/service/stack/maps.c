/*
 * maps.c - see maps.h
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include "fs/agent/service/stack/mapped.h"
#include "fs/agent/service/stack/maps.h"

static int add_line(const char *line, u64 seen, struct image *img)
{
	unsigned long long start, end, offset, ino;
	char perms[8], path[PATH_MAX] = "";
	struct image_map map;
	int n = sscanf(line, "%llx-%llx %7s %llx %*s %llu %4095[^\n]", &start, &end, perms, &offset,
		       &ino, path);

	if (n < 5 || perms[2] != 'x')
		return 0;
	map = (struct image_map){start, end, offset, ino, seen, 0, 0};
	if (image_path_is_none(path)) {
		path[0] = 0;
		map.offset = start;
		map.ino = 0;
	}
	return image_add(img, &map, path);
}

int maps_read(int proc, u64 seen, struct image *img)
{
	int fd = openat(proc, "maps", O_RDONLY | O_CLOEXEC), err = 0;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;

	*img = (struct image){0};
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!err && getline(&line, &cap, f) > 0)
		err = add_line(line, seen, img);
	free(line);
	fclose(f);
	return err;
}

/* False: nobody reads any more. */
static bool send_maps(int sock, pid_t pid, void *buf)
{
	int proc = mapped_proc(pid);
	struct image img = {0};
	bool ok = true;

	if (proc < 0)
		return true;
	if (!maps_read(proc, (u64)time(NULL), &img) && img.nr) {
		img.pid = (u32)pid;
		ok = agent_put(sock, buf, image_write(&img, buf), -1);
	}
	image_free(&img);
	close(proc);
	return ok;
}

void maps_service(int sock, const void *arg, size_t len)
{
	void *buf = malloc(IMAGE_MESSAGE);
	struct maps_request request;
	struct dirent *e;
	DIR *dir;

	if (!buf || len != sizeof(request)) {
		agent_report(sock, buf ? -EINVAL : -ENOMEM, NULL);
		return;
	}
	memcpy(&request, arg, sizeof(request));
	agent_report(sock, 0, NULL);
	if (request.pid >= 0) {
		send_maps(sock, request.pid, buf);
		return;
	}
	dir = opendir("/proc");
	while (dir && (e = readdir(dir)))
		if (isdigit((unsigned char)e->d_name[0]) && !send_maps(sock, atoi(e->d_name), buf))
			break;
}
