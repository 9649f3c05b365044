/*
 * cgroup.c - ubpfctl cgroup tree: what is attached where
 *
 * A line a directory of cgroup/ and a line a program, from the *.attach files.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/object.h"
#include "tools/lib/output.h"

static const char *const types[] = {"ingress", "egress"};

/* Each line is "PROGRAM FLAGS" or, with `effective`, "PROGRAM id N FLAGS from CGROUP". */
static void print_attached(const char *type, const char *name, unsigned int id, const char *flags,
			   const char *from, const char *dir, int depth)
{
	if (!out_json()) {
		printf("%*s%-8s %s", depth * 2 + 2, "", type, name);
		if (id)
			printf("  id %u", id);
		printf("  %s%s%s\n", flags, from ? "  from " : "", from ? from : "");
		return;
	}
	out_begin(NULL, '{');
	if (id)
		out_u64("id", id);
	out_str("attach_type", *type == 'i' ? "cgroup_inet_ingress" : "cgroup_inet_egress");
	out_str("attach_flags", flags);
	out_str("name", name);
	if (from)
		out_str("from", from);
	out_end('}');
}

static unsigned int id_of(const char *name)
{
	char *info = read_in_mount("progs/%s/info", name), number[32];
	unsigned int id = 0;

	if (info)
		id = strtoul(info_value(info, "id", number, sizeof(number)), NULL, 10);
	free(info);
	return id;
}

static int attached(const char *dir, bool effective, int depth)
{
	for (size_t i = 0; i < 2; i++) {
		char *text = read_in_mount("%s/%s.%s", dir, types[i],
					   effective ? "effective" : "attach");
		char *save = NULL;

		if (!text)
			return errno == ENOENT || errno == EACCES ? 0 : -1;
		for (char *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			char name[512] = "", flags[64] = "", from[1024] = "";
			unsigned int id = 0;

			if (effective && sscanf(line, "%511s id %u %63s from %1023[^\n]", name, &id,
						flags, from) == 4)
				print_attached(types[i], name, id, flags, from, dir, depth);
			else if (!effective && sscanf(line, "%511s %63[^\n]", name, flags) >= 1)
				print_attached(types[i], name, id_of(name), flags, NULL, dir,
					       depth);
		}
		free(text);
	}
	return 0;
}

static int walk(const char *dir, bool effective, int depth)
{
	int fd = open_in_mount(O_RDONLY | O_DIRECTORY, "%s", dir), ret;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return depth && (errno == ENOENT || errno == EACCES) ? 0 : -1;
	if (out_json()) {
		char path[5000];

		out_begin(NULL, '{');
		snprintf(path, sizeof(path), "%s/%s", mount_point(), dir);
		out_str("cgroup", path);
		out_begin("programs", '[');
	} else {
		printf("%*s%s\n", depth * 2, "", depth ? strrchr(dir, '/') + 1 : dir);
	}
	ret = attached(dir, effective, depth);
	if (out_json()) {
		out_end(']');
		out_end('}');
	}
	while (!ret && (e = readdir(d))) {
		char child[4096];

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(child, sizeof(child), "%s/%s", dir, e->d_name) < sizeof(child))
			ret = walk(child, effective, depth + 1);
	}
	closedir(d);
	return ret;
}

int cmd_cgroup(int argc, char **argv)
{
	bool effective = argc > 2 && (!strcmp(argv[2], "-e") || !strcmp(argv[2], "effective"));
	const char *below = argc > 2 + effective ? argv[2 + effective] : NULL;
	char dir[4096];
	int ret;

	if (argc < 2 || argc > 3 + effective || strcmp(argv[1], "tree"))
		return 2;
	snprintf(dir, sizeof(dir), "cgroup%s%s", below ? "/" : "", below ? below : "");
	if (out_json())
		out_begin(NULL, '[');
	ret = walk(dir, effective, 0);
	if (out_json())
		out_end(']');
	return (ret ? fail(dir) : 0) | out_done();
}
