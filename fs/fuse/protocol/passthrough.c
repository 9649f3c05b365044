/*
 * passthrough.c - see passthrough.h
 *
 * The part of the FUSE protocol (7.40 and later) that the system's headers need not have yet is
 * declared here, from its documentation: sizes and meanings are the kernel's.
 */
#include "fs/fuse/protocol/passthrough.h"
#include "fs/fuse/protocol/mounter.h"
#include "fs/fuse/protocol/protocol.h"
#include "fs/keeper/records.h"
#include "fs/keeper/slots.h"

#include <pthread.h>
#include <sys/uio.h>

#define INIT2_PASSTHROUGH (1u << (37 - 32)) /* in flags2 */
#define OPEN_PASSTHROUGH  (1u << 7)
#define MAX_STACK_DEPTH	  2 /* the state directory may lie on an overlayfs */

struct init_in {
	u32 major, minor, max_readahead, flags, flags2;
};

struct init_out {
	u32 major, minor, max_readahead, flags;
	u16 max_background, congestion_threshold;
	u32 max_write, time_gran;
	u16 max_pages, map_alignment;
	u32 flags2, max_stack_depth, unused[6];
};

struct open_out {
	u64 fh;
	u32 open_flags;
	s32 backing_id;
};

_Static_assert(sizeof(struct init_out) == 64, "as the kernel has it");
_Static_assert(sizeof(struct open_out) == 16, "as the kernel has it");

static int device = -1; /* /dev/fuse; -1: no passthrough */
static bool offered, agreed;
static __thread int reply_backing_id;
static struct slots backings = SLOTS_INIT(SHARED_BACKINGS);
/* Objects end in callbacks of grace periods, also while the session ends. Over the slots' alone. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void passthrough_init(const void *request, size_t len)
{
	struct init_in init;

	if (len < sizeof(struct fuse_request_head) + sizeof(init))
		return;
	memcpy(&init, (const char *)request + sizeof(struct fuse_request_head), sizeof(init));
	offered = device >= 0 && init.flags & INIT_EXT && init.flags2 & INIT2_PASSTHROUGH;
}

void passthrough_init_answer(void *answer)
{
	struct init_out *init = answer;

	if (!offered)
		return;
	init->flags |= INIT_EXT;
	init->flags2 |= INIT2_PASSTHROUGH;
	init->max_stack_depth = MAX_STACK_DEPTH;
}

void passthrough_agreed(void)
{
	pthread_mutex_lock(&lock);
	agreed = offered;
	pthread_mutex_unlock(&lock);
}

const struct iovec *passthrough_open_answer(const struct iovec *iov, int count, struct iovec out[2],
					    void *room)
{
	struct open_out *open = room;

	if (reply_backing_id <= 0 || count != 2 || iov[1].iov_len != sizeof(*open))
		return iov;
	memcpy(open, iov[1].iov_base, sizeof(*open));
	open->open_flags |= OPEN_PASSTHROUGH;
	open->backing_id = reply_backing_id;
	out[0] = iov[0];
	out[1] = (struct iovec){open, sizeof(*open)};
	return out;
}

int passthrough_start(int fd)
{
	int err = shared ? slots_start(&backings) : 0;

	if (!err && !geteuid())
		device = fd;
	return err;
}

void passthrough_stop(void)
{
	pthread_mutex_lock(&lock);
	agreed = false;
	device = -1;
	pthread_mutex_unlock(&lock);
}

/* The number that an earlier server has got for this file; NULL: none. */
static struct backing_record *__find_record(u64 key)
{
	for (u32 i = slots_high(&backings); i-- > 0;) {
		struct backing_record *r = slots_at(&backings, i);

		if (r && r->key == key)
			return r;
	}
	return NULL;
}

int passthrough_known(u64 key)
{
	struct backing_record *r;
	int id;

	pthread_mutex_lock(&lock);
	r = shared && agreed ? __find_record(key) : NULL;
	id = r ? (int)r->id : 0;
	pthread_mutex_unlock(&lock);
	return id;
}

static void __record(u64 key, int id)
{
	struct backing_record *r = shared && key ? slots_take(&backings) : NULL;

	if (!r)
		return;
	r->key = key;
	r->id = (u32)id;
	slots_valid(r, 1);
}

int passthrough_add(int fd, u64 key)
{
	int id = -EOPNOTSUPP;

	pthread_mutex_lock(&lock);
	if (agreed) {
		id = mounter_backing_open(device, fd);
		if (id > 0)
			__record(key, id);
	}
	pthread_mutex_unlock(&lock);
	return id;
}

void passthrough_remove(int backing_id, u64 key)
{
	struct backing_record *r;

	if (backing_id <= 0)
		return;
	pthread_mutex_lock(&lock);
	if (agreed) {
		r = shared ? __find_record(key) : NULL;
		if (r)
			slots_give(&backings, r);
		mounter_backing_close(device, (u32)backing_id);
	}
	pthread_mutex_unlock(&lock);
}

void passthrough_reply(int backing_id)
{
	reply_backing_id = backing_id;
}
