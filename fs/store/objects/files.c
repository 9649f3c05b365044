/*
 * files.c - see files.h
 *
 * Lock: leaving.lock, a leaf, taken under the store's.
 */
#include "fs/store/objects/files.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/next_id.h"
#include "fs/store/state/state_tree.h"
#include "fs/work/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

const char *store_part_suffix(enum store_part part)
{
	static const char *const suffix[STORE_PARTS] = {
		[STORE_OBJECT] = "", [STORE_VALUES] = ".values", [STORE_BTF] = ".btf"};

	return suffix[part];
}

const char *store_part_name(u32 id, enum store_part part, char buf[32])
{
	snprintf(buf, 32, "%u%s", id, store_part_suffix(part));
	return buf;
}

void store_remove_files(u32 id)
{
	char name[32];

	if (durable_only_look())
		return;
	/* Not noted: what comes back without a name goes at the next start. */
	for (int part = STORE_PARTS - 1; part >= 0; part--)
		if (unlinkat(tree.objects_fd, store_part_name(id, part, name), 0) < 0 &&
		    errno != ENOENT)
			return;
}

/* Never 0, and never UINT32_MAX, whatever a damaged counter said. */
u32 store_next_id(void)
{
	u32 id;

	do
		id = (u32)__atomic_fetch_add(tree.next_id, 1, __ATOMIC_RELAXED);
	while (!id || id == UINT32_MAX);
	tree_reserve_id(id);
	return id;
}

void store_id_seen(u64 id)
{
	u64 next = __atomic_load_n(tree.next_id, __ATOMIC_RELAXED);

	while (next <= id && id < UINT32_MAX &&
	       !__atomic_compare_exchange_n(tree.next_id, &next, id + 1, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

int store_part_open(u32 id, enum store_part part, int flags)
{
	char name[32];
	int fd = openat(tree.objects_fd, store_part_name(id, part, name),
			flags | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int store_part_open_own(u32 id, enum store_part part)
{
	const int flags = (durable_only_look() ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY;
	int fd = store_part_open(id, part, flags);
	struct stat st;
	char name[32];

	store_part_name(id, part, name);
	if (fd == -EACCES && !durable_only_look() &&
	    !fstatat(tree.objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) &&
	    !fchmodat(tree.objects_fd, name, st.st_mode | 0600, 0)) {
		fd = store_part_open(id, part, flags);
		fchmodat(tree.objects_fd, name, st.st_mode & 07777, 0);
	}
	return fd;
}

/* ---- durable modes: files go when whatever named the object is gone from the disk, too */

static struct {
	pthread_mutex_t lock;
	u32 *ids; /* of objects that are no more, and whose files are */
	size_t n;
	bool removing; /* remove_job is under way */
} leaving = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void remove_files_later(struct worker_job *job)
{
	__do_free u32 *ids = NULL;
	size_t n;

	pthread_mutex_lock(&leaving.lock);
	ids = move_ptr(leaving.ids);
	n = leaving.n;
	leaving.n = 0;
	pthread_mutex_unlock(&leaving.lock);
	/* Where the disk does not answer they stay, and a start removes them. */
	if (n && !durable_sync_all())
		for (size_t i = 0; i < n; i++)
			store_remove_files(ids[i]);
	pthread_mutex_lock(&leaving.lock);
	leaving.removing = leaving.n;
	if (leaving.removing)
		worker_submit(job);
	pthread_mutex_unlock(&leaving.lock);
}

static struct worker_job remove_job = {.run = remove_files_later, .class = WORKER_WAITING};

/* Without memory the files stay for a start. */
void store_remove_files_later(u32 id)
{
	u32 *ids;

	pthread_mutex_lock(&leaving.lock);
	ids = realloc(leaving.ids, (leaving.n + 1) * sizeof(*ids));
	if (ids) {
		leaving.ids = ids;
		ids[leaving.n++] = id;
		if (!leaving.removing)
			worker_submit(&remove_job);
		leaving.removing = true;
	}
	pthread_mutex_unlock(&leaving.lock);
}
