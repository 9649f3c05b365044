/*
 * state_open.c - see state_open.h
 */
#include "fs/store/state/state_open.h"
#include "fs/node/backing.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/next_id.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>

/* How long a start waits for another server of the same state to end: 2 s. */
#define LOCK_TRIES    40
#define LOCK_PAUSE_US 50000

#define VERSION_FILE "version"

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
	err = next_id_open();
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

int tree_open_to_look(const char *path, struct error_record *why)
{
	int err = open_dir(path, why);

	if (!err)
		err = lock_dir(path, O_RDONLY, why);
	if (!err)
		err = check_version(tree.dir_fd, path, &tree.version, why);
	if (err)
		return err;
	err = next_id_look();
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
