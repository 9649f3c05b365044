/*
 * definition.c - a source's definition, attachment and marks in its directory (see
 * events/definition.h)
 */
#include <fcntl.h>
#include <stdio.h>
#include "fs/events/definition.h"
#include "text/value_text.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/names.h"

#define ATTACH_FILE ".attach"
#define ATTACH_TEMP ".attach.new"
#define ENDED_FILE  ".ended"
#define SINCE_FILE  ".since"

int event_def_there(int dirfd)
{
	return tree_has(dirfd, EVENT_DEF_FILE);
}

/* Values are one line each, so the file needs no quoting. */
int event_def_read(int dirfd, struct source_def *def)
{
	const char *line;
	char *text = NULL;
	size_t pos = 0, n;
	ssize_t len = tree_read_small(dirfd, EVENT_DEF_FILE, &text);
	int err = 0;

	memset(def, 0, sizeof(*def));
	if (len < 0)
		return (int)len;
	while (!err && text_next_line(text, (size_t)len, true, &pos, &line, &n)) {
		for (u32 i = 0; i < SOURCE_ATTR_NR; i++) {
			const char *name = source_attr_name(i);
			size_t k = strlen(name);
			__do_free char *value = NULL;

			if (n < k + 2 || memcmp(line, name, k) || memcmp(line + k, ": ", 2))
				continue;
			value = strndup(line + k + 2, n - k - 2);
			err = value ? source_def_set(def, i, value) : -ENOMEM;
		}
	}
	free(text);
	if (err)
		source_def_free(def);
	return err;
}

int event_def_write(int dirfd, const struct source_def *def, struct error_record *why)
{
	struct fs_text text = {0};
	int err;

	for (u32 i = 0; i < SOURCE_ATTR_NR; i++)
		if (def->value[i])
			fs_text_printf(&text, "%s: %s\n", source_attr_name(i), def->value[i]);
	err = text.err ? text.err
		       : tree_write_small(dirfd, EVENT_DEF_FILE, text.buf ? text.buf : "", text.len,
					  why);
	fs_text_free(&text);
	return err;
}

const char *event_missing(const struct source_def *def)
{
	const struct source_kind *kind = source_kind_of(def);

	return kind ? kind->missing(def) : "type (perf, pcap or timer)";
}

int event_attached(int dirfd, struct store_object **out)
{
	struct stat st;

	if (fstatat(dirfd, ATTACH_FILE, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return store_by_ino(st.st_ino, out);
}

bool event_has_attached(int dirfd)
{
	return tree_has(dirfd, ATTACH_FILE) > 0;
}

int event_attach_link(int dirfd, struct store_object *obj, struct error_record *why)
{
	struct store_object *old = NULL;
	int err = event_attached(dirfd, &old);

	if (err && err != -ENOENT)
		return err;
	err = 0;
	if (obj) {
		durable_unlinkat(dirfd, ATTACH_TEMP, 0);
		err = store_link(obj, dirfd, ATTACH_TEMP, why);
		if (!err && durable_renameat2(dirfd, ATTACH_TEMP, dirfd, ATTACH_FILE, 0))
			err = tree_error(why, errno, "attach");
		/* Renaming one link of a file over another does nothing and leaves both. */
		durable_unlinkat(dirfd, ATTACH_TEMP, 0);
	} else if (durable_unlinkat(dirfd, ATTACH_FILE, 0) && errno != ENOENT) {
		err = tree_error(why, errno, "attach");
	}
	if (obj)
		store_names_changed(obj);
	if (old) {
		store_names_changed(old);
		store_put(old);
	}
	return err;
}

int event_def_remove(int dirfd, struct error_record *why)
{
	int err = event_attach_link(dirfd, NULL, why);

	return err ? err : tree_remove_hidden(dirfd, NULL);
}

int event_ended(int dirfd)
{
	return tree_has(dirfd, ENDED_FILE);
}

void event_ended_set(int dirfd)
{
	int fd = tree_open_file(dirfd, ENDED_FILE, O_WRONLY | O_CREAT);

	durable_dir(dirfd);
	if (fd >= 0)
		close(fd);
}

bool event_ended_clear(int dirfd)
{
	return !durable_unlinkat(dirfd, ENDED_FILE, 0);
}

void event_since_set(int dirfd, u64 began)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)began);

	if (began)
		tree_write_small(dirfd, SINCE_FILE, text, (size_t)n, NULL);
}

int event_since(int dirfd, const struct source_def *def, u64 *began)
{
	const char *pid = def->value[SOURCE_PID];
	__do_free char *text = NULL;
	ssize_t len;

	*began = 0;
	if (!pid || !strcmp(pid, "all"))
		return 0;
	len = tree_read_small(dirfd, SINCE_FILE, &text);
	if (len < 0)
		return (int)len;
	*began = strtoull(text, NULL, 10);
	return *began ? 0 : -ENOENT;
}
