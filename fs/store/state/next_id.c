/*
 * next_id.c - see next_id.h
 */
#include "fs/store/state/next_id.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <sys/mman.h>

#define IDS_RESERVED 1024 /* at a time */

static pthread_mutex_t reserve_lock = PTHREAD_MUTEX_INITIALIZER;

static u64 this_boot(void)
{
	char text[64] = "", hex[17];
	__do_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return 0;
	for (const char *c = text; *c && n < sizeof(hex) - 1; c++)
		if (*c != '-')
			hex[n++] = *c;
	hex[n] = 0;
	return strtoull(hex, NULL, 16);
}

/* Ids that were given before a power loss, and whose objects are gone, are not given again. */
static void ids_after_power_loss(u64 *ids)
{
	u64 boot = this_boot();

	if ((!boot || ids[ID_BOOT] != boot) && ids[ID_RESERVED] < UINT32_MAX)
		ids[ID_NEXT] = max(ids[ID_NEXT], ids[ID_RESERVED]);
	ids[ID_BOOT] = boot;
}

void tree_reserve_id(u64 id)
{
	u64 *reserved = &tree.next_id[ID_RESERVED];

	if (durable_mode() == DURABLE_NONE || id < __atomic_load_n(reserved, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&reserve_lock);
	if (id >= *reserved) {
		u64 before = *reserved;

		__atomic_store_n(reserved, id + IDS_RESERVED, __ATOMIC_RELEASE);
		if (msync(tree.next_id, ID_WORDS * sizeof(u64), MS_SYNC) < 0)
			__atomic_store_n(reserved, before,
					 __ATOMIC_RELEASE); /* the next one tries */
	}
	pthread_mutex_unlock(&reserve_lock);
}

/* The page must be there before it is touched: a full filesystem answers a hole with SIGBUS. */
int next_id_open(void)
{
	__do_close int fd = tree_open_file(tree.dir_fd, "next_id", O_RDWR | O_CREAT);
	int err;
	void *p;

	if (fd < 0)
		return fd;
	if (ftruncate(fd, ID_WORDS * sizeof(u64)) < 0)
		return -errno;
	err = posix_fallocate(fd, 0, ID_WORDS * sizeof(u64));
	if (err)
		return -err;
	p = mmap(NULL, ID_WORDS * sizeof(u64), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	tree.next_id = p;
	ids_after_power_loss(tree.next_id);
	return 0;
}

/* Of a file that may be too short, or nothing: what is not there reads as zero. */
int next_id_look(void)
{
	__do_close int fd = tree_open_file(tree.dir_fd, "next_id", O_RDONLY);
	u64 words[ID_WORDS] = {0};

	if (fd < 0 && fd != -ENOENT)
		return fd;
	if (fd >= 0 && pread(fd, words, sizeof(words), 0) < 0)
		return -errno;
	tree.next_id = mmap(NULL, sizeof(words), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (tree.next_id == MAP_FAILED) {
		tree.next_id = NULL;
		return -errno;
	}
	memcpy(tree.next_id, words, sizeof(words));
	return 0;
}
