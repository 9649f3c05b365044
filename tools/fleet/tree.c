/*
 * tree.c - see tree.h
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tools/fleet/tree.h"
#include "util/types.h"
#include "util/write_all.h"

static struct kept {
	struct kept *next;
	void *text;
} * kept;

static void *keep(void *text)
{
	struct kept *k = text ? malloc(sizeof(*k)) : NULL;

	if (!k) {
		fprintf(stderr, "ubpfctl: %s\n", strerror(ENOMEM));
		exit(1);
	}
	*k = (struct kept){kept, text};
	kept = k;
	return text;
}

char *text_keep(char *malloced)
{
	return malloced ? keep(malloced) : NULL;
}

char *text_of(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	return keep(text);
}

void text_free_all(void)
{
	while (kept) {
		struct kept *k = kept;

		kept = k->next;
		free(k->text);
		free(k);
	}
}

int complain(const char *path)
{
	fprintf(stderr, "ubpfctl: %s: %s\n", path, strerror(errno));
	return -1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int list_dir(const char *path, struct name_list *list)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char **names;
	int err;

	*list = (struct name_list){0};
	if (!d)
		return -1;
	while (errno = 0, (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		names = keep(calloc(list->nr + 1, sizeof(*names)));
		if (list->nr)
			memcpy(names, list->names, list->nr * sizeof(*names));
		names[list->nr++] = text_of("%s", e->d_name);
		list->names = names;
	}
	err = errno;
	closedir(d);
	if (err) {
		*list = (struct name_list){0};
		errno = err;
		return -1;
	}
	if (list->nr)
		qsort(list->names, list->nr, sizeof(*list->names), by_name);
	return 0;
}

char *read_file(const char *path, size_t *len)
{
	__do_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t cap = 65536, n = 0;
	char *buf = NULL, *bigger;
	ssize_t got = 1;

	if (fd < 0)
		return NULL;
	while (got > 0) {
		bigger = realloc(buf, cap + 1);
		if (!bigger)
			break;
		buf = bigger;
		got = read(fd, buf + n, cap - n);
		n += got > 0 ? got : 0;
		cap *= n == cap ? 2 : 1;
	}
	if (got) {
		free(buf);
		return NULL;
	}
	buf[n] = 0;
	if (len)
		*len = n;
	return keep(buf);
}

static bool one_unread;

bool unread(void)
{
	return one_unread;
}

/* It could not be read: was it that it is not there? */
static void absent(const char *path)
{
	if (errno == ENOENT)
		return;
	complain(path);
	one_unread = true;
}

void list_there(const char *path, struct name_list *list)
{
	if (list_dir(path, list))
		absent(path);
}

char *read_there(const char *path, size_t *len)
{
	char *text = read_file(path, len);

	if (text)
		return text;
	absent(path);
	if (len)
		*len = 0;
	return text_of("%s", "");
}

char *read_word(const char *path)
{
	char *text = read_there(path, NULL);
	size_t n;

	text += strspn(text, " \t\n");
	for (n = strlen(text); n && strchr(" \t\n", text[n - 1]); n--)
		text[n - 1] = 0;
	return text;
}

bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

int write_file(const char *path, const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -1;
	err = -write_all(fd, data, len);
	if (close(fd) && !err)
		err = errno;
	errno = err;
	return err ? -1 : 0;
}

int write_line(const char *path, const char *line)
{
	char *text = text_of("%s\n", line);

	return write_file(path, text, strlen(text));
}

/* What is named there goes, one by one; the files are the server's. */
int remove_dir(const char *path)
{
	struct name_list list;

	if (!rmdir(path) || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY || list_dir(path, &list))
		return -1;
	for (size_t i = 0; i < list.nr; i++) {
		char *child = text_of("%s/%s", path, list.names[i]);
		struct name_list maps;

		if (strcmp(list.names[i], "maps")) {
			if (is_dir(child) && rmdir(child) && errno != ENOENT)
				return -1;
			continue;
		}
		if (list_dir(child, &maps) && errno != ENOENT)
			return -1;
		for (size_t k = 0; k < maps.nr; k++)
			if (rmdir(text_of("%s/%s", child, maps.names[k])) && errno != ENOENT)
				return -1;
	}
	return rmdir(path) && errno != ENOENT ? -1 : 0;
}
