/*
 * bench_files.c - what an operation on a file of the mount costs
 *
 *	bench_files MOUNT [-rounds N]
 *
 * A hash map of 1,000 entries is made in the mount, and all operations take turns. Each is compared
 * with one that only goes to the server and back: an ioctl that the file `version` does not know,
 * or stat of `version` (which the kernel asks for anew each time). Medians of N rounds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include "util/types.h"
#include "uapi/ubpffs.h"
#include "uapi/ubpffs_client.h"

#define MAX_ROUNDS 1001
#define OPS	   40 /* a round */
#define NR_KEYS	   1000

static const char *mount;
static int map_fd, version_fd, entry_fd, ctl_fd;
static char entry_path[8192], version_path[4096], info_path[4096], entries_path[4096];

static u32 key = 7;
static u64 value;

static int op_null_ioctl(void)
{
	char buf[64] = {0};

	return ioctl(version_fd, _IOC(_IOC_READ | _IOC_WRITE, 0xbe, 1, sizeof(buf)), buf) == -1 &&
			       errno == ENOTTY
		       ? 0
		       : -1;
}

static int op_lookup(void)
{
	return ubpfc_lookup_elem(map_fd, &key, &value);
}

static int op_update(void)
{
	return ubpfc_update_elem(map_fd, &key, &value, BPF_ANY);
}

static int op_next_key(void)
{
	u32 next;

	return ubpfc_get_next_key(map_fd, &key, &next);
}

static int op_next_id(void)
{
	u32 id;

	return ubpfc_map_get_next_id(0, &id);
}

static int op_stat_version(void)
{
	struct stat st;

	return stat(version_path, &st);
}

static int op_stat_info(void)
{
	struct stat st;

	return stat(info_path, &st);
}

static int op_stat_entry(void)
{
	struct stat st;

	return stat(entry_path, &st);
}

static int op_pread(void)
{
	char buf[64];

	return pread(entry_fd, buf, sizeof(buf), 0) > 0 ? 0 : -1;
}

static int op_pwrite(void)
{
	return pwrite(entry_fd, "5\n", 2, 0) == 2 ? 0 : -1;
}

static int op_cat(void)
{
	char buf[64];
	int fd = open(entry_path, O_RDONLY), ok;

	if (fd < 0)
		return -1;
	ok = read(fd, buf, sizeof(buf)) > 0;
	close(fd);
	return ok ? 0 : -1;
}

static int op_list(void)
{
	struct dirent *entry;
	DIR *dir = opendir(entries_path);
	u32 n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n++;
	closedir(dir);
	return n == NR_KEYS + 2 ? 0 : -1;
}

enum { NULL_IOCTL, NULL_STAT };

static const struct op {
	const char *name;
	int (*run)(void);
	int against;
} ops[] = {
	[NULL_IOCTL] = {"ioctl that nothing knows", op_null_ioctl, NULL_IOCTL},
	[NULL_STAT] = {"stat version", op_stat_version, NULL_STAT},
	{"ioctl: lookup", op_lookup, NULL_IOCTL},
	{"ioctl: update", op_update, NULL_IOCTL},
	{"ioctl: next key", op_next_key, NULL_IOCTL},
	{"ioctl: next id", op_next_id, NULL_IOCTL},
	{"stat maps/m/info", op_stat_info, NULL_STAT},
	{"stat maps/m/entries/7", op_stat_entry, NULL_STAT},
	{"pread of entries/7", op_pread, NULL_IOCTL},
	{"pwrite of entries/7", op_pwrite, NULL_IOCTL},
	{"open, read, close of entries/7", op_cat, NULL_STAT},
	{"list 1,000 entries", op_list, NULL_STAT},
};

static double samples[ARRAY_SIZE(ops)][MAX_ROUNDS];

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int put(const char *dir, const char *name, const char *text)
{
	char path[8192];
	int fd, ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

static int setup(void)
{
	char dir[2048], path[4096];

	snprintf(dir, sizeof(dir), "%s/maps/bench_files", mount);
	if (mkdir(dir, 0700) || put(dir, "type", "hash\n") || put(dir, "key_size", "4\n") ||
	    put(dir, "value_size", "8\n") || put(dir, "max_entries", "1000\n"))
		return -1;
	snprintf(path, sizeof(path), "%s/map", dir);
	map_fd = open(path, O_RDWR);
	snprintf(version_path, sizeof(version_path), "%s/version", mount);
	version_fd = open(version_path, O_RDONLY);
	snprintf(path, sizeof(path), "%s/ctl", mount);
	ctl_fd = open(path, O_RDWR);
	snprintf(info_path, sizeof(info_path), "%s/info", dir);
	snprintf(entries_path, sizeof(entries_path), "%s/entries", dir);
	for (u32 i = 0; i < NR_KEYS; i++)
		if (ubpfc_update_elem(map_fd, &i, &value, BPF_ANY))
			return -1;
	snprintf(entry_path, sizeof(entry_path), "%s/7", entries_path);
	entry_fd = open(entry_path, O_RDWR);
	return map_fd < 0 || version_fd < 0 || entry_fd < 0 || ctl_fd < 0 ? -1 : 0;
}

static int remove_map(void)
{
	char dir[2048], path[4096];

	snprintf(dir, sizeof(dir), "%s/maps/bench_files", mount);
	snprintf(path, sizeof(path), "%s/map", dir);
	return unlink(path) || rmdir(dir);
}

int main(int argc, char **argv)
{
	u32 rounds = 101;

	if (argc == 4 && !strcmp(argv[2], "-rounds"))
		rounds = min(max(strtoul(argv[3], NULL, 10), 1ul), (unsigned long)MAX_ROUNDS);
	else if (argc != 2)
		return fprintf(stderr, "usage: %s MOUNT [-rounds N]\n", argv[0]), 2;
	mount = argv[1];
	setenv("UBPFFS_MOUNT", mount, 1);
	if (setup())
		return perror("bench_files: the map"), 1;
	for (u32 r = 0; r < rounds; r++)
		for (u32 i = 0; i < ARRAY_SIZE(ops); i++) {
			double begin = now_us();

			for (u32 n = 0; n < OPS; n++)
				if (ops[i].run())
					return perror(ops[i].name), 1;
			samples[i][r] = (now_us() - begin) / OPS;
		}
	for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
		qsort(samples[i], rounds, sizeof(samples[i][0]), by_value);
	printf("| operation | us | against its null operation |\n| --- | ---: | ---: |\n");
	for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
		printf("| %s | %.1f | %.2f |\n", ops[i].name, samples[i][rounds / 2],
		       samples[i][rounds / 2] / samples[ops[i].against][rounds / 2]);
	return remove_map() ? (perror("bench_files: rm"), 1) : 0;
}
