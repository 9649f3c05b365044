/*
 * state_place.c - see state_place.h
 *
 * A move is all or nothing: on one filesystem it is one rename(2); else cp(1), which knows hard
 * links, holes, owners and times, makes a copy beside the new place, which is renamed when it is on
 * disk, and only then the old one goes. What an interrupted copy left is removed by the next start.
 */
#include "fs/store/state/state_place.h"
#include "util/types.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* 1: a directory of ours, no link; 0: there is none; -errno: nobody can say. */
static int own_dir(const char *path)
{
	struct stat st;

	if (!lstat(path, &st))
		return S_ISDIR(st.st_mode) && st.st_uid == geteuid();
	return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
}

/* mkdir -p of what is above the last name. */
static int make_above(const char *path)
{
	char dir[PATH_MAX];

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	strcpy(dir, path);
	for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(dir, 0700) < 0 && errno != EEXIST && access(dir, F_OK) < 0)
			return -errno;
		*slash = '/';
	}
	return 0;
}

/* In a user namespace root may be a user, who has a home and no /var/lib. */
static bool root_of_machine(void)
{
	struct stat st;

	return !geteuid() && (stat("/var/lib", &st) < 0 || !st.st_uid);
}

/* malloc()ed; NULL: there is no memory. */
static char *wanted_place(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct passwd *pw;
	char *path = NULL;
	int n;

	if (root_of_machine())
		return strdup("/var/lib/ubpffs");
	if (!home || home[0] != '/')
		home = (pw = getpwuid(geteuid())) ? pw->pw_dir : "/nonexistent";
	if (state && state[0] == '/')
		n = asprintf(&path, "%s/ubpffs", state);
	else
		n = asprintf(&path, "%s/.local/state/ubpffs", home);
	return n < 0 ? NULL : path;
}

/* Run with what an ordinary command has; 0 or -errno. */
static int command(const char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (!pid) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static int copy_state(const char *from, const char *to)
{
	__do_free char *part = NULL;
	__do_close int fd = -1;
	int err;

	if (asprintf(&part, "%s.part", to) < 0)
		return -ENOMEM;
	err = command((const char *[]){"rm", "-rf", "--", part, NULL});
	if (!err)
		err = command((const char *[]){"cp", "-a", "-T", "--", from, part, NULL});
	if (!err) {
		fd = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || syncfs(fd) < 0 || rename(part, to) < 0)
			err = -errno;
	}
	if (err)
		command((const char *[]){"rm", "-rf", "--", part, NULL});
	else if (command((const char *[]){"rm", "-rf", "--", from, NULL}))
		fprintf(stderr, "ubpffs: %s could not be removed; it is not used any more\n", from);
	return err;
}

/* An old state, locked so that no server has it meanwhile. */
static int take_along(const char *from, const char *to, struct error_record *why)
{
	__do_free char *lock = NULL;
	__do_close int fd = -1;
	struct stat locked, there;
	int err = 0;

	if (asprintf(&lock, "%s/lock", from) < 0)
		return error_set(why, ENOMEM, "%s: %s", from, strerror(ENOMEM));
	fd = open(lock, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0; /* never a state */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return error_set(why, EBUSY,
				 "%s: a server uses this state, which is to be moved to %s: end "
				 "that server first, or say -o state=DIR",
				 from, to);
	/* Somebody was faster. */
	if (fd >= 0 && !fstat(fd, &locked) &&
	    (lstat(lock, &there) < 0 || there.st_ino != locked.st_ino))
		return 0;
	if (fd < 0)
		err = -errno;
	else if (rename(from, to) < 0)
		err = errno == EXDEV ? copy_state(from, to) : -errno;
	if (err)
		return error_set(why, -err,
				 "%s: the state of an earlier version could not be moved to %s "
				 "(%s): move it by hand, or say -o state=DIR",
				 from, to, strerror(-err));
	fprintf(stderr, "ubpffs: the state in %s, which does not outlive a reboot, is now %s\n",
		from, to);
	return 0;
}

/* The places that earlier versions chose from; only what is ours and no link is touched. */
static int take_old(const char *to, struct error_record *why)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	char old[3][PATH_MAX] = {""};
	int n = 0, err;

	if (!geteuid()) {
		strcpy(old[n++], "/run/ubpffs");
	} else {
		if (run && run[0] == '/' && snprintf(old[n], PATH_MAX, "%s/ubpffs", run) < PATH_MAX)
			n++;
		snprintf(old[n++], PATH_MAX, "/run/user/%u/ubpffs", geteuid());
	}
	snprintf(old[n++], PATH_MAX, "/tmp/ubpffs-%u", geteuid());
	for (int i = 0; i < n; i++) {
		err = own_dir(to);
		if (err > 0)
			return 0; /* what is there is not replaced */
		if (!err && strcmp(old[i], to))
			err = own_dir(old[i]);
		if (err > 0)
			err = take_along(old[i], to, why);
		if (err < 0)
			return error_set(why, -err, "%s: %s", old[i], strerror(-err));
	}
	return 0;
}

int state_place(char **out, struct error_record *why)
{
	__do_free char *path = wanted_place();
	int err;

	*out = NULL;
	if (!path)
		return error_set(why, ENOMEM, "the state directory: %s", strerror(ENOMEM));
	err = make_above(path);
	if (!err && own_dir(path) <= 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		err = -errno;
	else if (!err && rmdir(path) < 0 && errno != ENOTEMPTY && errno != EEXIST &&
		 errno != ENOTDIR)
		err = errno == ENOENT ? 0 : -errno;
	if (!err)
		err = take_old(path, why);
	else if (!geteuid())
		return error_set(why, -err, "%s: cannot be made (%s): say -o state=DIR%s", path,
				 strerror(-err),
				 err == -EROFS ? ", a directory of a volume, or /dev/shm/ubpffs, "
						 "which does not stay"
					       : "");
	else
		goto temporary;
	if (err)
		return err;
	*out = move_ptr(path);
	return 0;

temporary:
	/* Everybody may make names in /tmp: ours and no link, or not at all. */
	fprintf(stderr, "ubpffs: %s cannot be made (%s), ", path, strerror(-err));
	free(path);
	path = NULL;
	if (asprintf(&path, "/tmp/ubpffs-%u", geteuid()) < 0)
		return error_set(why, ENOMEM, "the state directory: %s", strerror(ENOMEM));
	if ((mkdir(path, 0700) < 0 && errno != EEXIST) || own_dir(path) <= 0) {
		fprintf(stderr, "and %s cannot be, or is somebody else's\n", path);
		return error_set(why, EACCES, "there is no place for the state: say -o state=DIR");
	}
	fprintf(stderr, "so the state is %s, which a reboot removes\n", path);
	*out = move_ptr(path);
	return 0;
}
