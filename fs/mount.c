/*
 * mount.c - see mount.h
 */
#include "fs/mount.h"
#include "text/error.h"
#include "fs/lib/mountinfo.h"
#include "util/types.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ASK_MS 2000 /* a server that hangs does not answer */

/* ---- what a mount needs of the machine */

static bool may_mount(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return !syscall(SYS_capget, &header, data) && data[0].effective & 1u << CAP_SYS_ADMIN;
}

/* Is the mount namespace the user namespace's, or of one below? Else its root mounts nothing. */
static bool own_mounts(void)
{
	__do_close int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	__do_close int owner = ns < 0 ? -1 : ioctl(ns, NS_GET_USERNS);

	return owner >= 0 || errno != EPERM;
}

/* As libfuse finds it: Debian's place, then PATH. */
static bool find_fusermount(struct stat *st)
{
	const char *dirs = getenv("PATH");
	char path[PATH_MAX];
	int len;

	if (!stat("/usr/bin/fusermount3", st))
		return true;
	for (; dirs && *dirs; dirs += len + !!dirs[len]) {
		len = strcspn(dirs, ":");
		if (snprintf(path, sizeof(path), "%.*s/fusermount3", len, dirs) <
			    (int)sizeof(path) &&
		    !stat(path, st))
			return true;
	}
	return false;
}

/* A line of its own in fuse.conf; a file that cannot be read says nothing. */
static bool others_allowed(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256], word[32], rest[2];
	bool found = !f && errno != ENOENT;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, " %31s %1s", word, rest) == 1 &&
			!strcmp(word, "user_allow_other");
	if (f)
		fclose(f);
	return found;
}

static int by_fusermount(bool allow_other, struct error_record *why)
{
	struct stat st;

	/* Nor may what is setuid root. */
	if (!geteuid() || !prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0))
		return error_set(why, EPERM,
				 "%s may not mount (no CAP_SYS_ADMIN): a container needs "
				 "--cap-add SYS_ADMIN --device /dev/fuse",
				 geteuid() ? "nobody here" : "this root");
	if (!find_fusermount(&st))
		return error_set(why, ENOENT,
				 "fusermount3, by which users mount, is not installed: "
				 "apt-get install fuse3");
	if (st.st_uid) /* whom the namespace does not know is shown as nobody */
		return error_set(why, EPERM,
				 "fusermount3, by which users mount, is not root's here: in a user "
				 "namespace start the server by unshare -Urm, else apt-get install "
				 "--reinstall fuse3");
	if (!(st.st_mode & S_ISUID))
		return error_set(why, EPERM,
				 "fusermount3 is not setuid root, so users cannot mount: "
				 "chmod u+s it, or apt-get install --reinstall fuse3");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return error_set(why, EPERM,
				 "this process may gain no privileges (no_new_privs), so "
				 "fusermount3 cannot mount for it: start it outside of that, or "
				 "the container without no-new-privileges");
	if (allow_other && !others_allowed())
		return error_set(why, EPERM,
				 "allow_other is not allowed to users here: put the line "
				 "user_allow_other into /etc/fuse.conf, or leave the option out");
	return 0;
}

int mount_possible(bool allow_other, struct error_record *why)
{
	__do_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? errno : 0;

	if (err == ENOENT)
		return error_set(why, err,
				 "there is no /dev/fuse: modprobe fuse makes it (as root); a "
				 "container needs --device /dev/fuse");
	if (err == ENODEV || err == ENXIO)
		return error_set(why, err, "the kernel has no FUSE: modprobe fuse (as root)");
	/* libfuse opens it before it asks fusermount3. */
	if (err == EACCES || err == EPERM)
		return error_set(why, err,
				 "/dev/fuse may not be opened (%s): chmod 666 /dev/fuse as the "
				 "machine's root; a container needs --device /dev/fuse",
				 strerror(err));
	if (err)
		return error_set(why, err, "/dev/fuse: %s", strerror(err));
	if (!may_mount())
		return by_fusermount(allow_other, why);
	if (!own_mounts())
		return error_set(
			why, EPERM,
			"this user namespace has no mount namespace of its own, so its root "
			"may not mount: start the server, and what uses it, by unshare -Urm");
	return 0;
}

/* A filter of system calls, or a profile of AppArmor's. */
static bool confined(void)
{
	__do_close int fd = open("/proc/self/attr/current", O_RDONLY | O_CLOEXEC);
	char label[64] = "";

	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) > 0 ||
	       (fd >= 0 && read(fd, label, sizeof(label) - 1) > 0 &&
		strncmp(label, "unconfined", strlen("unconfined")));
}

const char *mount_failed(const char *path)
{
	return !access(path, W_OK) && confined()
		       ? "could not be mounted on: a seccomp or AppArmor profile may forbid it; a "
			 "container needs --security-opt seccomp=unconfined --security-opt "
			 "apparmor=unconfined"
		       : "could not be mounted on";
}

/* ---- who has the mount point */

struct top {
	const char *path;
	bool ours;
};

static void look_at(void *arg, const char *root, const char *dir, const char *type)
{
	struct top *top = arg;

	if (!strcmp(dir, top->path)) /* the last one is on top */
		top->ours = !strcmp(type, "fuse.ubpffs");
}

/*
 * Is what is on top there one of ours, dead or alive? -errno: nobody can say, unless there is no
 * /proc at all.
 */
static int is_our_mount(const char *path)
{
	struct top top = {.path = path};
	int err = mountinfo_each(look_at, &top);

	return err && err != -ENOENT ? err : top.ours;
}

struct answer {
	int err; /* of statvfs(), which asks the server where stat() may be answered from a cache */
	int pid; /* 0: not known */
};

static void ask(const char *path, struct answer *answer)
{
	char name[PATH_MAX + 16], line[128];
	struct statvfs sv;
	FILE *f;

	answer->err = statvfs(path, &sv) ? errno : 0;
	snprintf(name, sizeof(name), "%s/status", path);
	f = answer->err ? NULL : fopen(name, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "pid: %d", &answer->pid) == 1)
			break;
}

/* A child asks, for it may hang; it is not waited for then. */
static struct answer ask_server(const char *path)
{
	struct answer answer = {.err = ETIMEDOUT}, got;
	struct pollfd ready = {.events = POLLIN};
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return answer;
	pid = fork();
	if (!pid) {
		got = (struct answer){0};
		ask(path, &got);
		_exit(write(fds[1], &got, sizeof(got)) != sizeof(got));
	}
	close(fds[1]);
	ready.fd = fds[0];
	if (pid > 0 && poll(&ready, 1, ASK_MS) == 1 &&
	    read(fds[0], &got, sizeof(got)) == sizeof(got)) {
		answer = got;
		waitpid(pid, NULL, 0);
	} else if (pid > 0) {
		kill(pid, SIGKILL);
	}
	close(fds[0]);
	return answer;
}

static void take_away(const char *path)
{
	pid_t pid;

	if (!umount2(path, MNT_DETACH))
		return;
	pid = fork();
	if (!pid) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "--", path, NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void mount_take_away(const char *path)
{
	if (is_our_mount(path) > 0)
		take_away(path);
}

#define CLAIM_TRIES    100
#define CLAIM_PAUSE_US 20000

static int claim_fd = -1; /* of the directory that will be mounted on, locked */

/*
 * Two that start at once have the same directory before them. Who may not open it locks nothing. A
 * server that is being killed still has the lock for a moment, so it is waited for as the state's
 * is.
 */
static int claim_dir(const char *path, struct error_record *why)
{
	claim_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (claim_fd < 0 && errno == ENOTDIR)
		return error_set(why, ENOTDIR, "%s: not a directory, and a mount point is one",
				 path);
	if (claim_fd < 0 && errno == ENOENT)
		return error_set(why, ENOENT, "%s: there is no such directory to mount on", path);
	for (int tries = 0; claim_fd >= 0 && flock(claim_fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK)
			break;
		if (tries == CLAIM_TRIES)
			return error_set(why, EBUSY, "%s: another server is being started there",
					 path);
		usleep(CLAIM_PAUSE_US);
	}
	return 0;
}

int mount_claim(const char *path, struct error_record *why)
{
	struct answer answer;
	int err, ours;

	for (int tries = 0; (ours = is_our_mount(path)) > 0; tries++) {
		answer = ask_server(path);
		/* Mounts may lie on each other: take what is dead away one by one. */
		if ((answer.err != ENOTCONN && answer.err != ECONNABORTED) || tries == 16) {
			if (answer.pid)
				return error_set(
					why, EBUSY,
					"%s: a ubpffs is mounted there already, process %d: "
					"fusermount3 -u %s ends it",
					path, answer.pid, path);
			return error_set(
				why, EBUSY,
				"%s: a ubpffs is mounted there already: fusermount3 -u %s ends it",
				path, path);
		}
		fprintf(stderr, "ubpffs: %s: taking away the mount of a server that is gone\n",
			path);
		take_away(path);
	}
	if (!ours) {
		err = claim_dir(path, why);
		if (err)
			goto out;
		ours = is_our_mount(path);
	}
	if (ours < 0)
		err = error_set(why, -ours, "%s: what is mounted there cannot be read: %s", path,
				strerror(-ours));
	else if (ours) /* somebody was faster */
		err = error_set(why, EBUSY, "%s: a ubpffs is mounted there already", path);
	else
		err = 0;
out:
	if (err)
		mount_claimed();
	return err;
}

void mount_claimed(void)
{
	if (claim_fd >= 0)
		close(claim_fd);
	claim_fd = -1;
}

/* realpath() of a dead mount fails: resolve the directory above it. */
char *mount_absolute_path(const char *arg)
{
	char full[PATH_MAX], *copy, *slash, *path = NULL;
	size_t len;

	if (realpath(arg, full))
		return strdup(full);
	if (errno == ENOMEM || !*arg)
		return NULL;
	copy = strdup(arg);
	if (!copy)
		return NULL;
	for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = 0;
	slash = strrchr(copy, '/');
	if (slash)
		*slash = 0;
	if (realpath(!slash  ? "."
		     : *copy ? copy
			     : "/",
		     full) &&
	    asprintf(&path, "%s/%s", strcmp(full, "/") ? full : "", slash ? slash + 1 : copy) < 0)
		path = NULL;
	free(copy);
	return path;
}
