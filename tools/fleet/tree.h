/*
 * tree.h - files, directories and lines of the mount, as apply and export work on them
 */
#ifndef UBPFFS_TOOLS_FLEET_TREE_H
#define UBPFFS_TOOLS_FLEET_TREE_H

#include <stdbool.h>
#include <stddef.h>

/* Text of a run, which is freed at its end (text_free_all()). NULL is never returned. */
char *text_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *text_keep(char *malloced); /* NULL stays NULL */
void text_free_all(void);

/* "ubpfctl: PATH: " and what errno says. Returns -1. */
int complain(const char *path);

/* Names in a directory, sorted; hidden ones are left out. */
struct name_list {
	char **names;
	size_t nr;
};
/* 0; -1 with errno, and the list is empty. */
int list_dir(const char *path, struct name_list *list);
/* The whole of a regular file; NULL with errno. A NUL is behind it. */
char *read_file(const char *path, size_t *len);
/*
 * For who takes what is not there for empty: "", or an empty list. One that is there and cannot be
 * read is named, and after that unread() is true: nothing may be concluded from what was read.
 */
char *read_there(const char *path, size_t *len);
char *read_word(const char *path); /* without blanks at its ends */
void list_there(const char *path, struct name_list *list);
bool unread(void);
bool is_dir(const char *path);

/* One write of all of it, which must be taken. -1 with errno. */
int write_file(const char *path, const char *data, size_t len);
int write_line(const char *path, const char *line);

/* A program's, map's, source's directory, or a load directory with all in it. */
int remove_dir(const char *path);

#endif
