/*
 * list.c - see list.h
 */
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_file.h"

#include <dirent.h>
#include <fcntl.h>

static int name_compare(const void *a, const void *b)
{
	return strcmp(((const struct tree_name *)a)->name, ((const struct tree_name *)b)->name);
}

static int tree_list_add(struct tree_names *names, size_t *cap, const struct dirent *entry)
{
	if (names->n == *cap) {
		size_t more = *cap ? *cap * 2 : 16;
		struct tree_name *v = realloc(names->v, more * sizeof(*v));

		if (!v)
			return -ENOMEM;
		names->v = v;
		*cap = more;
	}
	names->v[names->n].name = strdup(entry->d_name);
	if (!names->v[names->n].name)
		return -ENOMEM;
	names->v[names->n].type = DTTOIF(entry->d_type);
	names->v[names->n].ino = entry->d_ino;
	names->n++;
	names->bytes += 2 * sizeof(*names->v) + strlen(entry->d_name);
	return 0;
}

static DIR *tree_opendir(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir) {
		int err = errno;

		close(fd);
		errno = err;
	}
	return dir;
}

int tree_list_unsorted(int dirfd, bool hidden, struct tree_names *out)
{
	DIR *dir = tree_opendir(dirfd);
	struct dirent *entry;
	size_t cap = 0;
	int err = 0;

	memset(out, 0, sizeof(*out));
	if (!dir)
		return -errno;
	while (!err) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (hidden ? tree_name_ok(entry->d_name) : entry->d_name[0] != '.')
			err = tree_list_add(out, &cap, entry);
	}
	if (!err)
		err = -errno; /* what could not be read on is no end */
	closedir(dir);
	if (err)
		tree_names_free(out);
	return err;
}

int tree_list(int dirfd, bool hidden, struct tree_names *out)
{
	int err = tree_list_unsorted(dirfd, hidden, out);

	if (!err && out->n)
		qsort(out->v, out->n, sizeof(*out->v), name_compare);
	return err;
}

void tree_names_free(struct tree_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i].name);
	free(names->v);
	memset(names, 0, sizeof(*names));
}

int tree_remove_hidden(int dirfd, const char *but)
{
	DIR *dir = tree_opendir(dirfd);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] == '.' && tree_name_ok(entry->d_name) &&
		    (!but || strcmp(entry->d_name, but)) &&
		    durable_unlinkat(dirfd, entry->d_name, 0) < 0 && errno != ENOENT)
			err = -errno;
	closedir(dir);
	return err;
}
