/*
 * mountinfo.c - see mountinfo.h; libmount reads the file, and undoes what the kernel writes for
 * blanks
 */
#include "fs/lib/mountinfo.h"

#include <errno.h>
#include <libmount.h>

int mountinfo_each(mountinfo_fn *fn, void *arg)
{
	struct libmnt_table *table;
	struct libmnt_iter *iter;
	struct libmnt_fs *fs;
	int err;

	errno = 0;
	table = mnt_new_table_from_file("/proc/self/mountinfo");
	if (!table)
		return errno ? -errno : -ENOMEM;
	iter = mnt_new_iter(MNT_ITER_FORWARD);
	err = iter ? 0 : -ENOMEM;
	while (!err && !mnt_table_next_fs(table, iter, &fs)) {
		const char *root = mnt_fs_get_root(fs), *dir = mnt_fs_get_target(fs);
		const char *type = mnt_fs_get_fstype(fs);

		if (root && dir && type)
			fn(arg, root, dir, type);
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return err;
}
