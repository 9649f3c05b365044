/*
 * limits.c - see limits.h
 *
 * Users are never taken out of the table, so whoever has found one needs no reference.
 */
#include "fs/caller/limits.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define USER_BUCKETS 1024u
#define LIMIT_UNSET  (UINT64_MAX - 1)

struct user {
	uid_t uid;
	struct user *next;
	u64 used[LIMIT_CNT], own[LIMIT_CNT];
};

static struct user *users[USER_BUCKETS];
static u64 memory_used; /* is_shared() */

static const struct {
	const char *name, *what;
} limits[LIMIT_CNT] = {
	[LIMIT_OBJECTS] = {"objects", "programs and maps"},
	[LIMIT_BYTES] = {"bytes", "bytes of programs and maps"},
	[LIMIT_NAMES] = {"names", "directories, links and names"},
	[LIMIT_FILES] = {"files", "open files"},
	[LIMIT_JOBS] = {"jobs", "requests that run or wait"},
	[LIMIT_SOURCES] = {"sources", "event sources that run"},
	[LIMIT_MEMORY] = {"memory", "bytes that open files keep in memory"},
	[LIMIT_RUN_SECONDS] = {"run_seconds", "seconds of a run"},
	[LIMIT_VERIFY_SECONDS] = {"verify_seconds", "seconds of a verification"},
	[LIMIT_VERIFY_MEMORY] = {"verify_memory", "bytes of verifications"},
};

static u64 defaults[LIMIT_CNT] = {
	[LIMIT_OBJECTS] = 4096,	       [LIMIT_BYTES] = 1ULL << 30,
	[LIMIT_NAMES] = 100000,	       [LIMIT_FILES] = 16384,
	[LIMIT_JOBS] = 1024,	       [LIMIT_SOURCES] = 32,
	[LIMIT_MEMORY] = 512ULL << 20, [LIMIT_RUN_SECONDS] = 60,
	[LIMIT_VERIFY_SECONDS] = 60,   [LIMIT_VERIFY_MEMORY] = LIMIT_NONE,
};

static u64 all[LIMIT_CNT] = {
	[LIMIT_MEMORY] = LIMIT_NONE,
	[LIMIT_VERIFY_MEMORY] = LIMIT_NONE,
};

const char *limits_name(enum limit what)
{
	return limits[what].name;
}

int limits_find(const char *name, enum limit *what)
{
	for (u32 i = 0; i < LIMIT_CNT; i++)
		if (!strcmp(limits[i].name, name)) {
			*what = i;
			return 0;
		}
	return -ENOENT;
}

static struct user *user_find(uid_t uid)
{
	struct user *user = __atomic_load_n(&users[uid % USER_BUCKETS], __ATOMIC_ACQUIRE);

	while (user && user->uid != uid)
		user = user->next;
	return user;
}

static struct user *user_get(uid_t uid)
{
	struct user **bucket = &users[uid % USER_BUCKETS], *user = user_find(uid), *first;

	if (user)
		return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->uid = uid;
	for (u32 i = 0; i < LIMIT_CNT; i++)
		user->own[i] = LIMIT_UNSET;
	first = __atomic_load_n(bucket, __ATOMIC_ACQUIRE);
	do {
		for (struct user *other = first; other; other = other->next)
			if (other->uid == uid) { /* another thread was first */
				free(user);
				return other;
			}
		user->next = first;
	} while (!__atomic_compare_exchange_n(bucket, &first, user, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return user;
}

void limits_each(void (*fn)(void *arg, uid_t uid), void *arg)
{
	for (u32 i = 0; i < USER_BUCKETS; i++)
		for (struct user *user = __atomic_load_n(&users[i], __ATOMIC_ACQUIRE); user;
		     user = user->next)
			fn(arg, user->uid);
}

static u64 user_limit(const struct user *user, uid_t uid, enum limit what)
{
	u64 own = user ? __atomic_load_n(&user->own[what], __ATOMIC_RELAXED) : LIMIT_UNSET;

	if (own != LIMIT_UNSET)
		return own;
	return !uid || uid == geteuid() ? LIMIT_NONE : limits_default(what);
}

/* Memory of all users but root and who runs the server. */
static bool is_shared(uid_t uid, enum limit what)
{
	return what == LIMIT_MEMORY && uid && uid != geteuid();
}

static bool charge_shared(u64 amount)
{
	u64 used = __atomic_load_n(&memory_used, __ATOMIC_RELAXED), most = limits_all(LIMIT_MEMORY);

	do {
		if (amount > most || used > most - amount)
			return false;
	} while (!__atomic_compare_exchange_n(&memory_used, &used, used + amount, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

static int over_shared(struct error_record *why)
{
	return error_set(why, EDQUOT,
			 "open files and requests of all users keep %llu bytes in memory, and no "
			 "more than %llu are for them: try again later, or have root raise "
			 "limits/all/memory",
			 (unsigned long long)limits_all_used(LIMIT_MEMORY),
			 (unsigned long long)limits_all(LIMIT_MEMORY));
}

static int over_limit(uid_t uid, enum limit what, u64 used, u64 limit, struct error_record *why)
{
	return error_set(why, EDQUOT,
			 "uid %u has %llu of its %llu %s, and this needs more: remove what is not "
			 "needed, or have root raise limits/%u/%s",
			 uid, (unsigned long long)used, (unsigned long long)limit,
			 limits[what].what, uid, limits[what].name);
}

int limits_charge(uid_t uid, enum limit what, u64 amount, struct error_record *why)
{
	struct user *user = user_get(uid);
	u64 limit, used;

	if (!user)
		return -ENOMEM;
	if (is_shared(uid, what) && !charge_shared(amount))
		return over_shared(why);
	limit = user_limit(user, uid, what);
	used = __atomic_load_n(&user->used[what], __ATOMIC_RELAXED);
	do {
		if (amount > limit || used > limit - amount) {
			if (is_shared(uid, what))
				__atomic_fetch_sub(&memory_used, amount, __ATOMIC_RELAXED);
			return over_limit(uid, what, used, limit, why);
		}
	} while (!__atomic_compare_exchange_n(&user->used[what], &used, used + amount, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 0;
}

void limits_charge_anyway(uid_t uid, enum limit what, u64 amount)
{
	struct user *user = user_get(uid);

	if (!user)
		return;
	__atomic_fetch_add(&user->used[what], amount, __ATOMIC_RELAXED);
	if (is_shared(uid, what))
		__atomic_fetch_add(&memory_used, amount, __ATOMIC_RELAXED);
}

void limits_uncharge(uid_t uid, enum limit what, u64 amount)
{
	struct user *user = user_find(uid);
	u64 used;

	if (!user)
		return;
	used = __atomic_load_n(&user->used[what], __ATOMIC_RELAXED);
	/* Less than that can only be there where charging anyway found no memory. */
	while (!__atomic_compare_exchange_n(&user->used[what], &used, used - min(used, amount),
					    true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	if (is_shared(uid, what))
		__atomic_fetch_sub(&memory_used, min(used, amount), __ATOMIC_RELAXED);
}

u64 limits_of(uid_t uid, enum limit what)
{
	return user_limit(user_find(uid), uid, what);
}

u64 limits_used(uid_t uid, enum limit what)
{
	const struct user *user = user_find(uid);

	return user ? __atomic_load_n(&user->used[what], __ATOMIC_RELAXED) : 0;
}

u64 limits_default(enum limit what)
{
	return __atomic_load_n(&defaults[what], __ATOMIC_RELAXED);
}

void limits_set_default(enum limit what, u64 limit)
{
	__atomic_store_n(&defaults[what], limit, __ATOMIC_RELAXED);
}

int limits_own(uid_t uid, enum limit what, u64 *limit)
{
	const struct user *user = user_find(uid);

	*limit = user ? __atomic_load_n(&user->own[what], __ATOMIC_RELAXED) : LIMIT_UNSET;
	return *limit == LIMIT_UNSET ? -ENOENT : 0;
}

int limits_set(uid_t uid, enum limit what, u64 limit)
{
	struct user *user = user_get(uid);

	if (!user)
		return -ENOMEM;
	__atomic_store_n(&user->own[what], limit, __ATOMIC_RELAXED);
	return 0;
}

void limits_unset(uid_t uid, enum limit what)
{
	struct user *user = user_find(uid);

	if (user)
		__atomic_store_n(&user->own[what], LIMIT_UNSET, __ATOMIC_RELAXED);
}

bool limits_is_of_all(enum limit what)
{
	return what == LIMIT_MEMORY || what == LIMIT_VERIFY_MEMORY;
}

u64 limits_all(enum limit what)
{
	return __atomic_load_n(&all[what], __ATOMIC_RELAXED);
}

u64 limits_all_used(enum limit what)
{
	return what == LIMIT_MEMORY ? __atomic_load_n(&memory_used, __ATOMIC_RELAXED) : 0;
}

void limits_set_all(enum limit what, u64 limit)
{
	__atomic_store_n(&all[what], limit, __ATOMIC_RELAXED);
}

/* A number of /proc/sys; `otherwise` where it cannot be read. */
static u64 sysctl(const char *path, u64 otherwise)
{
	FILE *f = fopen(path, "re");
	unsigned long long v;
	bool read = f && fscanf(f, "%llu", &v) == 1;

	if (f)
		fclose(f);
	return read ? v : otherwise;
}

/* In bytes; 0: not known. */
static u64 machine_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? (u64)pages * (u64)page : 0;
}

/*
 * One user gets what leaves enough for the others: a map takes two of the process's mappings, and a
 * source a few descriptors for each CPU. Memory has room for a few of the largest objects that a
 * client writes, also on a small machine.
 */
void limits_size_defaults(int dirfd)
{
	long cpus = max(sysconf(_SC_NPROCESSORS_ONLN), 1l);
	u64 memory = machine_memory();
	struct rlimit files;
	struct statvfs sv;

	limits_set_default(LIMIT_OBJECTS, sysctl("/proc/sys/vm/max_map_count", 65530) / 8);
	if (memory) {
		limits_set_default(LIMIT_MEMORY, max(memory / 16, (u64)256 << 20));
		limits_set_all(LIMIT_MEMORY, max(memory / 4, (u64)512 << 20));
	}
	limits_set_all(LIMIT_VERIFY_MEMORY, max(memory / 4, (u64)1 << 30));
	if (!fstatvfs(dirfd, &sv)) {
		limits_set_default(LIMIT_BYTES, (u64)sv.f_blocks * sv.f_frsize / 2);
		if (sv.f_files)
			limits_set_default(LIMIT_NAMES, min((u64)sv.f_files / 4, (u64)1000000));
	}
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur != RLIM_INFINITY)
		limits_set_default(
			LIMIT_SOURCES,
			min(max((u64)files.rlim_cur / (u64)(8 * (2 + cpus)), (u64)4), (u64)64));
}
