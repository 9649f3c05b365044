/*
 * object.c - see object.h
 */
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/mount.h"
#include "tools/lib/object.h"
#include "uapi/ubpffs_client.h"
#include "util/types.h"

static const char *kind_dir(enum ubpffs_kind kind)
{
	return kind == UBPFFS_MAP ? "maps" : "progs";
}

static const char *kind_file(enum ubpffs_kind kind)
{
	return kind == UBPFFS_MAP ? "map" : "prog";
}

static const char *kind_word(enum ubpffs_kind kind)
{
	return kind == UBPFFS_MAP ? "map" : "program";
}

static int read_info(struct object *obj)
{
	struct ubpffs_io io = {.flags = obj->kind};

	memset(&obj->map, 0, sizeof(obj->map));
	memset(&obj->prog, 0, sizeof(obj->prog));
	io.out_len = obj->kind == UBPFFS_MAP ? sizeof(obj->map) : sizeof(obj->prog);
	if (ubpfc_command(obj->fd, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &obj->map))
		return -1;
	obj->cpus = obj->kind == UBPFFS_MAP ? io.count : 0;
	return 0;
}

/* 0, or -1 with errno; ENOENT: there is nothing. */
static int try_path(struct object *obj, const char *path)
{
	obj->fd = open_in_mount(O_RDWR | O_NOCTTY, "%s", path);
	obj->read_only = false;
	if (obj->fd < 0 && (errno == EACCES || errno == EPERM)) {
		obj->fd = open_in_mount(O_RDONLY | O_NOCTTY, "%s", path);
		obj->read_only = true;
	}
	if (obj->fd < 0) {
		if (errno == ENOTDIR || errno == EISDIR)
			errno = ENOENT;
		return -1;
	}
	if (!read_info(obj))
		return 0;
	/* Some other file of the mount. */
	if (errno == ENOTTY || errno == EINVAL)
		errno = EMEDIUMTYPE;
	object_close(obj);
	return -1;
}

static int try_dir(struct object *obj, const char *dir)
{
	char path[sizeof(obj->dir) + 8];

	if (strlen(dir) >= sizeof(obj->dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	snprintf(path, sizeof(path), "%s/%s", dir, kind_file(obj->kind));
	if (try_path(obj, path))
		return -1;
	strcpy(obj->dir, dir);
	return 0;
}

int object_open_id(enum ubpffs_kind kind, unsigned int id, struct object *obj)
{
	char path[64];

	*obj = (struct object){.fd = -1, .kind = kind};
	snprintf(path, sizeof(path), "ids/%s/%u", kind_file(kind), id);
	return try_path(obj, path);
}

static int open_name(struct object *obj, const char *name)
{
	const char *slash = strchr(name, '/');
	char dir[1024];

	snprintf(dir, sizeof(dir), "%s/%s", kind_dir(obj->kind), name);
	if (slash && obj->kind == UBPFFS_MAP)
		snprintf(dir, sizeof(dir), "progs/%.*s/maps/%s", (int)(slash - name), name,
			 slash + 1);
	return try_dir(obj, dir);
}

/* A directory of the mount, or the object's own file. */
static int open_path(struct object *obj, const char *path)
{
	size_t len = strlen(mount_point());

	if (*path == '/') {
		if (strncmp(path, mount_point(), len) || path[len] != '/') {
			errno = EXDEV;
			return -1;
		}
		path += len + 1;
	}
	if (!try_dir(obj, path))
		return 0;
	return errno == ENOENT ? try_path(obj, path) : -1;
}

static bool is_number(const char *s, unsigned int *id)
{
	char *end;

	errno = 0;
	*id = strtoul(s, &end, 0);
	return *s >= '0' && *s <= '9' && !*end && !errno;
}

static int open_any(struct object *obj, const char *word)
{
	unsigned int id;

	if (*word != '/' && !open_name(obj, word))
		return 0;
	if (*word != '/' && errno != ENOENT)
		return -1;
	if (strchr(word, '/'))
		return open_path(obj, word);
	if (is_number(word, &id))
		return object_open_id(obj->kind, id, obj);
	errno = ENOENT;
	return -1;
}

/* ---- what there is */

/*
 * dir: from the mount on; prefix: what goes before names. A directory without an object is a load
 * directory, of which `inner` (may be NULL) is looked into.
 */
static int names_in(const char *dir, const char *prefix, const char *inner, bool own,
		    object_name_fn fn, void *ctx)
{
	int fd = open_in_mount(O_RDONLY | O_DIRECTORY, "%s", dir), ret = 0, err;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return -1;
	while (!ret && (errno = 0, (e = readdir(d)))) {
		char path[1024], name[600], number[32], *info;

		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		snprintf(name, sizeof(name), "%s%s", prefix, e->d_name);
		info = read_in_mount("%s/info", path);
		if (info && own) {
			info_value(info, "id", number, sizeof(number));
			ret = fn(ctx, path, name, strtoul(number, NULL, 10));
		} else if (!info && errno == ENOENT && inner) {
			strcat(name, "/");
			strcat(path, inner);
			ret = names_in(path, name, NULL, true, fn, ctx);
			/* gone meanwhile, or somebody else's */
			if (ret < 0 && (errno == ENOENT || errno == ESTALE || errno == EACCES ||
					errno == EPERM))
				ret = 0;
		}
		free(info);
	}
	if (!ret && errno)
		ret = -1;
	err = errno;
	closedir(d);
	errno = err;
	return ret;
}

int object_each_name(enum ubpffs_kind kind, object_name_fn fn, void *ctx)
{
	int ret;

	if (kind == UBPFFS_PROG)
		return names_in("progs", "", "", true, fn, ctx);
	ret = names_in("maps", "", NULL, true, fn, ctx);
	return ret ? ret : names_in("progs", "", "/maps", false, fn, ctx);
}

int object_each_id(enum ubpffs_kind kind, object_id_fn fn, void *ctx)
{
	unsigned int id = 0;
	int ret = 0;

	if (ubpfc_mount(mount_point()))
		return -1;
	while (!ret) {
		if (kind == UBPFFS_MAP ? ubpfc_map_get_next_id(id, &id)
				       : ubpfc_prog_get_next_id(id, &id))
			return errno == ENOENT ? 0 : -1;
		ret = fn(ctx, id);
	}
	return ret;
}

struct list {
	FILE *out;
	int n;
};

static int list_name(void *ctx, const char *dir, const char *name, unsigned int id)
{
	struct list *list = ctx;

	fprintf(list->out, "%s%s", list->n ? " " : "", name);
	return ++list->n == 20;
}

static void not_there(enum ubpffs_kind kind, const char *word)
{
	struct list list = {stderr, 0};

	fprintf(stderr, "ubpfctl: %s: there is no %s '%s'; there are: ", mount_point(),
		kind_word(kind), word);
	object_each_name(kind, list_name, &list);
	fprintf(stderr, "%s (ubpfctl list %s)\n",
		list.n == 20 ? " ..."
		: list.n     ? ""
			     : "none with a name",
		kind_dir(kind));
}

static int explain(enum ubpffs_kind kind, const char *word)
{
	if (errno == ENOENT)
		not_there(kind, word);
	else if (errno == EMEDIUMTYPE)
		fprintf(stderr, "ubpfctl: %s: '%s' is no %s (see ubpfctl list)\n", mount_point(),
			word, kind_word(kind));
	else if (errno == EXDEV)
		fprintf(stderr,
			"ubpfctl: %s: it is not in the mount %s; name another mount by -m\n", word,
			mount_point());
	else
		fail(word);
	return -1;
}

int object_open(enum ubpffs_kind kind, int argc, char **argv, struct object *obj)
{
	const char *word = argc ? argv[0] : "";
	unsigned int id;
	int ret;

	*obj = (struct object){.fd = -1, .kind = kind};
	if (argc < 2 || (strcmp(word, "id") && strcmp(word, "name") && strcmp(word, "pinned")))
		return !open_any(obj, word) ? 1 : explain(kind, word);
	if (!strcmp(word, "id")) {
		if (!is_number(argv[1], &id)) {
			fprintf(stderr, "ubpfctl: id: '%s' is no number\n", argv[1]);
			return -1;
		}
		ret = object_open_id(kind, id, obj);
	} else {
		ret = !strcmp(word, "name") ? open_name(obj, argv[1]) : open_path(obj, argv[1]);
	}
	return !ret ? 2 : explain(kind, argv[1]);
}

void object_close(struct object *obj)
{
	int err = errno;

	if (obj->fd >= 0)
		close(obj->fd);
	obj->fd = -1;
	errno = err;
}

const char *object_type_name(const struct object *obj)
{
	static char number[32];
	__u32 type = obj->kind == UBPFFS_MAP ? obj->map.type : obj->prog.type;
	const char *name;

	if (obj->kind == UBPFFS_PROG && type == UBPFFS_PROG_TYPE_RAW)
		return "raw";
	name = obj->kind == UBPFFS_MAP ? libbpf_bpf_map_type_str(type)
				       : libbpf_bpf_prog_type_str(type);
	if (name)
		return name;
	snprintf(number, sizeof(number), "type %u", type);
	return number;
}

unsigned long long object_fdinfo(const struct object *obj, const char *key)
{
	char text[2048] = "";
	struct ubpffs_io io = {.out_len = sizeof(text) - 1};
	size_t n = strlen(key);

	if (ubpfc_command(obj->fd, UBPFFS_OBJ_FDINFO, &io, NULL, 0, text))
		return 0;
	for (char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, n) && p[n] == ':')
			return strtoull(p + n + 1, NULL, 0);
	}
	return 0;
}
