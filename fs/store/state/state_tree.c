/*
 * state_tree.c - the state directory: opening it, and small safe steps inside
 *
 * Every access is by *at() calls from a descriptor, one component at a time, without following
 * symlinks.
 */
#include "fs/node/tree_stat.h"
#include "fs/fuse/protocol/mounter.h"
#include "fs/lib/reopen.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_tree.h"
#include "fs/node/backing.h"
#include "fs/caller/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>

/* How long a start waits for another server of the same state to end: 2 s. */
#define LOCK_TRIES    40
#define LOCK_PAUSE_US 50000

struct tree tree = {.dir_fd = -1, .objects_fd = -1, .tree_fd = -1, .pending_fd = -1, .lock_fd = -1};

#define VERSION_FILE "version"

static pthread_rwlock_t tree_lock = PTHREAD_RWLOCK_INITIALIZER;
static bool writing; /* tree_lock is held for writing; written by who does */

void tree_rdlock(void)
{
	pthread_rwlock_rdlock(&tree_lock);
}

void tree_wrlock(void)
{
	pthread_rwlock_wrlock(&tree_lock);
	writing = true;
}

void tree_unlock(void)
{
	if (writing) {
		fs_attrs_changed();
		writing = false;
	}
	pthread_rwlock_unlock(&tree_lock);
}

static int open_error(struct error_record *why, int err, const char *path, const char *what)
{
	return error_set(why, err, "%s: %s: %s", path, what, strerror(err));
}

static int tree_subdir(const char *name, mode_t mode)
{
	int fd;

	if (durable_mkdirat(tree.dir_fd, name, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(tree.dir_fd, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

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
static int tree_open_counter(void)
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

/* The directories that every mount has. Like /tmp: everybody may add, only the owner may remove. */
static int tree_make_roots(void)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = {{"progs", 01777},
		    {"maps", 01777},
		    {"cgroup", 0755},
		    {"events", 01777},
		    {"limits", 0755}};
	struct stat st;
	mode_t old = umask(0);
	int err = 0;

	tree.tree_fd = tree_subdir("tree", 01777);
	tree.objects_fd = tree_subdir("objects", 0700);
	tree.pending_fd = tree_subdir("pending", 0700);
	if (tree.tree_fd < 0 || tree.objects_fd < 0 || tree.pending_fd < 0)
		err = min(tree.tree_fd, min(tree.objects_fd, tree.pending_fd));
	for (u32 i = 0; !err && i < ARRAY_SIZE(dirs); i++) {
		if (durable_mkdirat(tree.tree_fd, dirs[i].name, dirs[i].mode) < 0 &&
		    errno != EEXIST)
			err = -errno;
		else if (fstatat(tree.tree_fd, dirs[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			err = -errno;
		else if (!S_ISDIR(st.st_mode))
			err = -ENOTDIR;
	}
	umask(old);
	if (!err && fstat(tree.tree_fd, &st) < 0)
		err = -errno;
	if (!err) {
		fs_backing.root_fd = tree.tree_fd;
		fs_backing.numbered_fd = tree.objects_fd;
		fs_backing.root_ino = st.st_ino;
	}
	return err;
}

/* A directory that has been removed: every name in it is ENOENT. */
static int tree_open_gone(void)
{
	static const char name[] = "gone";

	if (durable_mkdirat(tree.pending_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fs_backing.gone_fd =
		openat(tree.pending_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fs_backing.gone_fd < 0 || durable_unlinkat(tree.pending_fd, name, AT_REMOVEDIR) < 0)
		return -errno;
	return 0;
}

/* What the holder of the lock wrote about itself, for a sentence; "" when that is not there yet. */
static void read_holder(char *out, size_t size)
{
	char text[PATH_MAX + 64], *at;
	ssize_t n = pread(tree.lock_fd, text, sizeof(text) - 1, 0);
	int pid;

	*out = 0;
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, "\nmountpoint: ");
	if (sscanf(text, "pid: %d\n", &pid) != 1 || !at)
		return;
	at += strlen("\nmountpoint: ");
	at[strcspn(at, "\n")] = 0;
	snprintf(out, size, ": process %d, mounted on %s", pid, at);
}

/* Only ever read by people: a full filesystem is no reason not to start. */
static void write_holder(const char *mountpoint)
{
	__do_free char *text = NULL;
	int n = asprintf(&text, "pid: %d\nmountpoint: %s\n", getpid(), mountpoint);

	if (n > 0 && !ftruncate(tree.lock_fd, 0) && pwrite(tree.lock_fd, text, n, 0) != n &&
	    ftruncate(tree.lock_fd, 0) < 0)
		perror("ubpffs: lock");
}

/* A server whose mount was just taken away needs a moment to end. */
static int tree_lock_state(void)
{
	for (int tries = 0; flock(tree.lock_fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
			return -1;
		usleep(LOCK_PAUSE_US);
	}
	return 0;
}

/* Removed, also in part: what is left must not look like a state without objects. */
static bool is_removed(int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && !st.st_nlink;
}

static int tree_lost(struct error_record *why)
{
	static bool said;

	if (!is_removed(tree.lock_fd) && !is_removed(tree.tree_fd) && !is_removed(tree.objects_fd))
		return 0;
	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		fprintf(stderr, "ubpffs: the state directory %s was removed\n", tree.path);
	return error_set(why, EIO,
			 "the state directory %s was removed while the server ran, and the objects "
			 "with it: end this server and start another",
			 tree.path);
}

/*
 * The number stands there twice, so that a damaged byte makes no other version. Without a whole one
 * the state is of version 1, which those had that wrote none: then *known is 0.
 */
static int check_version(int dir_fd, const char *path, unsigned int *known,
			 struct error_record *why)
{
	__do_free char *text = NULL;
	ssize_t n = tree_read_small(dir_fd, VERSION_FILE, &text);
	unsigned int version, again;

	if (n < 0 && n != -ENOENT && n != -EBADMSG)
		return open_error(why, (int)-n, path, "the state's version cannot be read");
	*known = n > 0 && sscanf(text, "%u %u", &version, &again) == 2 && version == again ? version
											   : 0;
	if (*known > STATE_VERSION)
		return error_set(why, EPROTONOSUPPORT,
				 "%s: the state is of version %u, and this program reads up to "
				 "%u: it was written by a later one",
				 path, *known, STATE_VERSION);
	return 0;
}

/* What is not there says version 1, so a full filesystem is no reason not to start. */
static int write_version(const char *path, unsigned int version, struct error_record *why)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%u %u\n", version, version);
	int err = tree_write_small(tree.dir_fd, VERSION_FILE, text, (size_t)n, NULL);

	if (err && (version > 1 || (err != -ENOSPC && err != -EDQUOT)))
		return open_error(why, -err, path, "cannot write the state's version");
	__atomic_store_n(&tree.version, version, __ATOMIC_RELAXED);
	return 0;
}

int tree_begin_version(unsigned int version, struct error_record *why)
{
	if (__atomic_load_n(&tree.version, __ATOMIC_RELAXED) >= version)
		return 0;
	return write_version(tree.path, version, why);
}

int tree_check(const char *path, struct error_record *why)
{
	__do_close int fd = open(path, O_DIRECTORY | O_CLOEXEC);
	unsigned int known;

	if (fd < 0)
		return open_error(why, errno, path, "cannot open the state directory");
	return check_version(fd, path, &known, why);
}

/* The directory itself: whose it is, and that it is closed to others. */
static int open_dir(const char *path, struct error_record *why)
{
	char full[PATH_MAX];
	struct stat st;

	tree.dir_fd = open(path, O_DIRECTORY | O_CLOEXEC);
	if (tree.dir_fd < 0 || fstat(tree.dir_fd, &st) < 0 || !realpath(path, full))
		return open_error(why, errno, path, "cannot open the state directory");
	if (st.st_uid != geteuid())
		return error_set(why, EACCES,
				 "%s: the state directory is user %u's, and serves only its owner: "
				 "start the server as that user, or name another state",
				 path, st.st_uid);
	if (st.st_mode & 077)
		return open_error(why, EACCES, path,
				  "the state directory must be yours alone (chmod 700)");
	tree.path = strdup(full);
	if (!tree.path)
		return open_error(why, ENOMEM, path, "state directory");
	tree.may_chown = !geteuid();
	return 0;
}

static int lock_dir(const char *path, int flags, struct error_record *why)
{
	char holder[PATH_MAX + 64];

	tree.lock_fd = tree_open_file(tree.dir_fd, "lock", flags);
	if (tree.lock_fd == -EROFS)
		return open_error(why, EROFS, path,
				  "a state is written to while it is served: mount its filesystem "
				  "read-write, or name another state");
	if (tree.lock_fd < 0)
		return open_error(why, -tree.lock_fd, path,
				  tree.lock_fd == -EBADMSG  ? "lock is no regular file"
				  : tree.lock_fd == -ENOENT ? "this is no state directory"
							    : "cannot make the lock");
	if (tree_lock_state() < 0) {
		if (errno != EWOULDBLOCK)
			return open_error(why, errno, path, "cannot take the lock");
		read_holder(holder, sizeof(holder));
		return error_set(why, EBUSY, "%s: another server uses this state directory%s", path,
				 holder);
	}
	return 0;
}

static int open_roots(const char *path, struct error_record *why)
{
	int err = tree_make_roots();

	return err ? open_error(why, -err, path,
				"cannot make tree, objects and pending, or one is no directory")
		   : 0;
}

int tree_open(const char *path, const char *mountpoint, struct error_record *why)
{
	int err;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return open_error(why, errno, path, "cannot make the state directory");
	err = open_dir(path, why);
	if (!err)
		err = lock_dir(path, O_RDWR | O_CREAT, why);
	if (err)
		return err;
	write_holder(mountpoint);
	err = check_version(tree.dir_fd, path, &tree.version, why);
	if (!err && !tree.version)
		err = write_version(path, 1, why);
	if (err)
		return err;
	err = tree_open_counter();
	if (err)
		return open_error(why, -err, path,
				  err == -EBADMSG ? "next_id is no regular file"
						  : "cannot make next_id");
	err = open_roots(path, why);
	if (err)
		return err;
	err = tree_open_gone();
	if (err)
		return open_error(why, -err, path, "cannot make a directory in pending");
	fs_backing.lost = tree_lost;
	return 0;
}

/* Of a file that may be too short, or nothing: what is not there reads as zero. */
static int look_at_counter(void)
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

int tree_open_to_look(const char *path, struct error_record *why)
{
	int err = open_dir(path, why);

	if (!err)
		err = lock_dir(path, O_RDONLY, why);
	if (!err)
		err = check_version(tree.dir_fd, path, &tree.version, why);
	if (err)
		return err;
	err = look_at_counter();
	return err ? open_error(why, -err, path, "next_id cannot be read") : open_roots(path, why);
}

void tree_close(void)
{
	int *fds[] = {&tree.tree_fd, &tree.objects_fd, &tree.pending_fd,
		      &tree.dir_fd,  &tree.lock_fd,    &fs_backing.gone_fd};

	if (tree.next_id) {
		tree.next_id[ID_RESERVED] = tree.next_id[ID_NEXT];
		munmap(tree.next_id, ID_WORDS * sizeof(u64));
	}
	tree.next_id = NULL;
	for (u32 i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(tree.path);
	tree.path = NULL;
}

bool tree_name_ok(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/') &&
	       strlen(name) <= NAME_MAX;
}

int tree_openat(int dirfd, const char *name)
{
	int fd;

	if (!tree_name_ok(name))
		return strlen(name) > NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tree_has(int dirfd, const char *name)
{
	struct stat st;

	if (!fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int tree_load_dir_at(int progs, const char *name)
{
	char path[NAME_MAX + sizeof("/" LOAD_DIR_FILE)];
	int ret;

	if (strlen(name) > NAME_MAX)
		return 0;
	snprintf(path, sizeof(path), "%s/" LOAD_DIR_FILE, name);
	ret = tree_has(progs, path);
	return ret == -ENOTDIR ? 0 : ret;
}

int tree_open_file(int dirfd, const char *name, int flags)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT || !(flags & O_CREAT))
			return -errno;
	} else if (!S_ISREG(st.st_mode)) {
		return -EBADMSG;
	}
	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

bool tree_err_passes(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EAGAIN ||
	       err == -EINTR;
}

int tree_error(struct error_record *why, int err, const char *name)
{
	switch (err) {
	case EEXIST:
		return error_set(why, err, "%s is there already: remove it, or take another name",
				 name);
	case ENOTEMPTY:
		return error_set(why, err, "%s is not empty: remove what is in it first", name);
	case EMLINK:
		return error_set(why, err,
				 "the filesystem of the state directory gives one file or "
				 "directory no more links: remove some");
	case ENOSPC:
	case EDQUOT:
		return error_set(why, err,
				 "the filesystem of the state directory (%s) is full, or its quota "
				 "used up: make room there",
				 tree.path);
	default:
		return error_set(why, err, "%s, in the state directory: %s", name, strerror(err));
	}
}

int tree_foreign(struct error_record *why, uid_t uid)
{
	return error_set(why, EPERM, "this server is not root and cannot make anything for uid %u",
			 uid);
}

/*
 * Root's server changes nothing by a path (sandbox/sandbox.c), and a symbolic link cannot be opened
 * in another way.
 */
int tree_chown(int fd, uid_t uid, gid_t gid)
{
	__do_close int again = -1;
	struct stat st;

	if (!tree.may_chown)
		return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? -errno : 0;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return mounter_own_link(fd, uid, gid);
	again = reopen(fd);
	return again < 0 || fchown(again, uid, gid) ? -errno : 0;
}

/* Give a new directory or link its owner (gid: the parent's when that is setgid). */
static int tree_own(int fd, const char *name, const struct fs_cred *cred, const struct stat *parent,
		    struct error_record *why)
{
	gid_t gid = parent->st_mode & S_ISGID ? parent->st_gid : cred->gid;
	int err;

	if (!tree.may_chown && cred->uid != geteuid())
		return tree_foreign(why, cred->uid);
	if (!tree.may_chown) {
		if (parent->st_mode & S_ISGID) /* made elsewhere: as the kernel would, if we may */
			(void)tree_chown(fd, -1, gid);
		return 0;
	}
	err = tree_chown(fd, cred->uid, gid);
	return err ? tree_error(why, -err, name) : 0;
}

/* parent: what its owner and bits follow from. */
static int make_dir(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
		    const struct stat *parent, struct error_record *why)
{
	__do_close int fd = -1;
	int err;

	if (durable_mkdirat(dirfd, name, 0700) < 0)
		return tree_error(why, errno, name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = fd < 0 ? tree_error(why, errno, name) : tree_own(fd, name, cred, parent, why);
	if (!err && fchmod(fd, (mode & 01777) | (parent->st_mode & S_ISGID)) < 0)
		err = tree_error(why, errno, name);
	if (!err)
		durable_file(fd); /* its owner and bits; its name is noted */
	if (err)
		durable_unlinkat(dirfd, name, AT_REMOVEDIR);
	return err;
}

static int make_symlink(int dirfd, const char *name, const char *target, const struct fs_cred *cred,
			const struct stat *parent, struct error_record *why)
{
	__do_close int fd = -1;
	int err;

	if (durable_symlinkat(target, dirfd, name) < 0)
		return tree_error(why, errno, name);
	fd = tree_openat(dirfd, name);
	err = fd < 0 ? tree_error(why, -fd, name) : tree_own(fd, name, cred, parent, why);
	if (err)
		durable_unlinkat(dirfd, name, 0);
	else
		durable_file(fd);
	return err;
}

/* Under tree_wrlock nobody makes the name meanwhile. */
static int begin_aside(int dirfd, const char *name, struct stat *dir, struct error_record *why)
{
	int there = tree_has(dirfd, name);

	if (there)
		return there < 0 ? there : tree_error(why, EEXIST, name);
	if (fstatat(dirfd, "", dir, AT_EMPTY_PATH) < 0)
		return -errno;
	/* One that could not be removed. */
	if (tree_has(tree.pending_fd, TREE_NEW) &&
	    durable_unlinkat(tree.pending_fd, TREE_NEW, 0) < 0)
		durable_unlinkat(tree.pending_fd, TREE_NEW, AT_REMOVEDIR);
	return 0;
}

static int end_aside(int dirfd, const char *name, int flags, struct error_record *why)
{
	int err = durable_settle(why);

	if (!err && durable_renameat2(tree.pending_fd, TREE_NEW, dirfd, name, 0) < 0)
		err = tree_error(why, errno, name);
	if (err)
		durable_unlinkat(tree.pending_fd, TREE_NEW, flags);
	return err;
}

/* Names come with owner and bits, whoever is killed: what has these is made aside. */
static int make_dir_aside(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
			  struct error_record *why)
{
	struct stat dir;
	int err = begin_aside(dirfd, name, &dir, why);

	if (!err)
		err = make_dir(tree.pending_fd, TREE_NEW, mode, cred, &dir, why);
	return err ? err : end_aside(dirfd, name, AT_REMOVEDIR, why);
}

static int charged_mkdir(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
			 bool aside, struct error_record *why)
{
	struct stat dir;
	int err;

	if (!tree_name_ok(name))
		return error_set(why, EINVAL, "\"%s\" cannot be a name", name);
	err = limits_charge(cred->uid, LIMIT_NAMES, 1, why);
	if (err)
		return err;
	if (aside)
		err = make_dir_aside(dirfd, name, mode, cred, why);
	else if (fstatat(dirfd, "", &dir, AT_EMPTY_PATH) < 0)
		err = -errno;
	else
		err = make_dir(dirfd, name, mode, cred, &dir, why);
	if (err)
		limits_uncharge(cred->uid, LIMIT_NAMES, 1);
	return err;
}

int tree_mkdir(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
	       struct error_record *why)
{
	return charged_mkdir(dirfd, name, mode, cred, true, why);
}

int tree_mkdir_pending(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
		       struct error_record *why)
{
	return charged_mkdir(dirfd, name, mode, cred, false, why);
}

int tree_symlink(int dirfd, const char *name, const char *target, const struct fs_cred *cred,
		 struct error_record *why)
{
	struct stat dir;
	int err = limits_charge(cred->uid, LIMIT_NAMES, 1, why);

	if (err)
		return err;
	err = begin_aside(dirfd, name, &dir, why);
	if (!err)
		err = make_symlink(tree.pending_fd, TREE_NEW, target, cred, &dir, why);
	if (!err)
		err = end_aside(dirfd, name, 0, why);
	if (err)
		limits_uncharge(cred->uid, LIMIT_NAMES, 1);
	return err;
}

/* A directory or symlink is no more. */
static void __name_gone(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return;
	limits_uncharge(st->st_uid, LIMIT_NAMES, 1);
	__fs_node_gone(st);
}

static int name_remove(int dirfd, const char *name, int flags, struct error_record *why)
{
	struct stat st;
	int err = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	__fs_nodes_lock();
	if (durable_unlinkat(dirfd, name, flags) < 0) /* some filesystems say it so */
		err = tree_error(why, errno == EEXIST ? ENOTEMPTY : errno, name);
	else
		__name_gone(&st);
	__fs_nodes_unlock();
	return err;
}

int tree_rmdir(int dirfd, const char *name, struct error_record *why)
{
	return name_remove(dirfd, name, AT_REMOVEDIR, why);
}

int tree_set_aside(int dirfd, const char *name, char aside[32])
{
	struct stat st;
	int err = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	snprintf(aside, 32, TREE_ASIDE "%llu", (unsigned long long)st.st_ino);
	__fs_nodes_lock();
	if (durable_renameat2(dirfd, name, tree.pending_fd, aside, 0) < 0)
		err = -errno;
	else
		__name_gone(&st);
	__fs_nodes_unlock();
	return err;
}

int tree_unlink(int dirfd, const char *name, struct error_record *why)
{
	return name_remove(dirfd, name, 0, why);
}

/* The nodes of the two directories, or NULL for what no client knows yet. */
static int name_move(struct fs_node *dir, int dirfd, const char *name, struct fs_node *newdir,
		     int newfd, const char *newname, unsigned int flags, struct error_record *why)
{
	__do_free char *to = newdir ? strdup(newname) : NULL, *from = dir ? strdup(name) : NULL;
	struct stat st, target;
	bool replaces;
	int err = 0;

	if ((newdir && !to) || (dir && !from))
		return -ENOMEM;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	replaces = !fstatat(newfd, newname, &target, AT_SYMLINK_NOFOLLOW);
	if (!replaces && errno != ENOENT)
		return -errno;
	__fs_nodes_lock();
	if (durable_renameat2(dirfd, name, newfd, newname, flags) < 0) {
		err = tree_error(why, errno, newname);
	} else if (!replaces || st.st_ino != target.st_ino) {
		if (newdir)
			__fs_node_moved(st.st_ino, newdir, &to);
		if (replaces && !(flags & RENAME_EXCHANGE))
			__name_gone(&target);
		else if (replaces && dir)
			__fs_node_moved(target.st_ino, dir, &from);
	}
	__fs_nodes_unlock();
	return err;
}

int tree_rename(struct fs_node *dir, const char *name, struct fs_node *newdir, const char *newname,
		unsigned int flags, struct error_record *why)
{
	return name_move(dir, fs_node_fd(dir), name, newdir, fs_node_fd(newdir), newname, flags,
			 why);
}

int tree_move(int dirfd, const char *name, int newdirfd, const char *newname,
	      struct error_record *why)
{
	return name_move(NULL, dirfd, name, NULL, newdirfd, newname, 0, why);
}

struct level {
	struct tree_names names;
	size_t next;
	bool hidden; /* dots begin names of users here, too */
};

/* A level for the directory that *fd is. */
static int level_push(struct level **levels, size_t *n, int fd, bool hidden)
{
	struct level *v = realloc(*levels, (*n + 1) * sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	*levels = v;
	v[*n] = (struct level){.hidden = hidden};
	err = tree_list(fd, hidden, &v[*n].names);
	if (!err)
		++*n;
	return err;
}

/* What is in M/progs, M/maps, M/events and M/limits has only files of ours in it. */
static bool is_flat(const char *name)
{
	return !strcmp(name, "progs") || !strcmp(name, "maps") || !strcmp(name, "events") ||
	       !strcmp(name, "limits");
}

/* One directory is open at a time, whatever the depth. */
static int step_to(int *fd, const char *name)
{
	int to = openat(*fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (to < 0)
		return -errno;
	close(*fd);
	*fd = to;
	return 0;
}

int tree_charge(void)
{
	__do_close int fd = openat(tree.tree_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct level *levels = NULL, *at;
	size_t n = 0;
	int err = fd < 0 ? -errno : level_push(&levels, &n, fd, true);

	while (!err && n) {
		const char *name, *top;
		struct stat st;

		at = &levels[n - 1];
		if (at->next == at->names.n) {
			tree_names_free(&at->names);
			if (--n)
				err = step_to(&fd, "..");
			continue;
		}
		name = at->names.v[at->next++].name;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			err = -errno;
			break;
		}
		if (S_ISREG(st.st_mode))
			continue;
		limits_charge_anyway(st.st_uid, LIMIT_NAMES, 1);
		top = levels[0].names.v[levels[0].next - 1].name;
		/* A load directory has one more in it, which the number of links says, if any. */
		if (n == 2 && is_flat(top) &&
		    (strcmp(top, "progs") || st.st_nlink == 2 || tree_load_dir_at(fd, name) <= 0))
			continue;
		/*
		 * What its owner closed to himself is closed to a server that is not root; that
		 * owner has no limit.
		 */
		if (S_ISDIR(st.st_mode) && (tree.may_chown || (st.st_mode & 0500) == 0500)) {
			bool hidden = at->hidden && (n > 1 || strcmp(name, "cgroup"));

			err = step_to(&fd, name);
			if (!err)
				err = level_push(&levels, &n, fd, hidden);
		}
	}
	while (n)
		tree_names_free(&levels[--n].names);
	free(levels);
	return err;
}

ssize_t tree_read_small(int dirfd, const char *name, char **out)
{
	__do_close int fd = tree_open_file(dirfd, name, O_RDONLY);
	__do_free char *buf = NULL;
	struct stat st;
	ssize_t n;

	*out = NULL;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 1 << 20)
		return -EBADMSG;
	buf = malloc(st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	n = pread(fd, buf, st.st_size, 0);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	*out = move_ptr(buf);
	return n;
}

int tree_write_small(int dirfd, const char *name, const char *data, size_t len,
		     struct error_record *why)
{
	char tmp[NAME_MAX + 1];
	int fd, err = 0;

	if (durable_only_look())
		return 0;
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", name) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = tree_open_file(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0)
		return tree_error(why, -fd, name);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, data + done, len - done);

		if (n <= 0) {
			err = n < 0 ? -errno : -EIO;
			break;
		}
		done += n;
	}
	if (!err && durable_mode() != DURABLE_NONE && fsync(fd) < 0) /* before it replaces */
		err = -errno;
	close(fd);
	if (!err && durable_renameat2(dirfd, tmp, dirfd, name, 0) < 0)
		err = -errno;
	if (err) {
		durable_unlinkat(dirfd, tmp, 0);
		tree_error(why, -err, name);
	}
	return err;
}

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
