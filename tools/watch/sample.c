/*
 * sample.c - see sample.h
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "tools/lib/mount.h"
#include "tools/watch/sample.h"
#include "uapi/bpf_insn.h"
#include "uapi/ubpffs_client.h"

#define MAX_STACKS 16384

/* A line into a file of the mount. -1: it was explained. */
static int put(const char *dir, const char *name, const char *file, const char *line)
{
	int fd = open_in_mount(O_WRONLY, "%s/%s/%s", dir, name, file);
	size_t len = strlen(line);
	char path[256];
	int err = fd < 0 ? errno : 0;

	if (!err && write(fd, line, len) != (ssize_t)len)
		err = errno;
	if (fd >= 0 && close(fd) && !err)
		err = errno;
	if (!err)
		return 0;
	snprintf(path, sizeof(path), "%s/%s/%s", dir, name, file);
	errno = err;
	fail(path);
	return -1;
}

static int make_dir(const char *dir, const char *name)
{
	char path[4400];

	snprintf(path, sizeof(path), "%s/%s/%s", mount_point(), dir, name);
	if (!mkdir(path, 0700))
		return 0;
	fail(path);
	return -1;
}

static void remove_dir(const char *dir, const char *name)
{
	char path[4400];

	snprintf(path, sizeof(path), "%s/%s/%s", mount_point(), dir, name);
	if (*name && rmdir(path) && errno != ENOENT)
		fail(path);
}

/* A descriptor, or -1: it was explained. */
static int make_map(const char *name, const char *type, const char *key_size,
		    const char *value_size)
{
	char max[16];
	int fd;

	snprintf(max, sizeof(max), "%u", MAX_STACKS);
	if (make_dir("maps", name) || put("maps", name, "type", type) ||
	    (key_size && put("maps", name, "key_size", key_size)) ||
	    put("maps", name, "value_size", value_size) || put("maps", name, "max_entries", max))
		return -1;
	fd = open_in_mount(O_RDWR, "maps/%s/map", name);
	if (fd < 0)
		fail(name);
	return fd;
}

/* Counts { user stack, kernel stack, thread's name }, as examples/profile.bpf.c. */
static int load(int stacks, int counts)
{
	struct bpf_insn insns[] = {
		BPF_MOV64_REG(BPF_REG_6, BPF_REG_1),
		BPF_ST_MEM(BPF_DW, BPF_REG_10, -16, 0),
		BPF_ST_MEM(BPF_DW, BPF_REG_10, -8, 0),
		BPF_LD_MAP_FD(BPF_REG_2, stacks),
		BPF_MOV64_IMM(BPF_REG_3, BPF_F_USER_STACK),
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_stackid),
		BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_0, -24),
		BPF_MOV64_REG(BPF_REG_1, BPF_REG_6),
		BPF_LD_MAP_FD(BPF_REG_2, stacks),
		BPF_MOV64_IMM(BPF_REG_3, 0),
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_stackid),
		BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_0, -20),
		BPF_MOV64_REG(BPF_REG_1, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -16),
		BPF_MOV64_IMM(BPF_REG_2, 16),
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_comm),
		BPF_LD_MAP_FD(BPF_REG_1, counts),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -24),
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		BPF_RAW_INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 4, 0),
		BPF_MOV64_IMM(BPF_REG_1, 1),
		BPF_RAW_INSN(BPF_STX | BPF_DW | BPF_ATOMIC, BPF_REG_0, BPF_REG_1, 0, BPF_ADD),
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_RAW_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		BPF_ST_MEM(BPF_DW, BPF_REG_10, -32, 1),
		BPF_LD_MAP_FD(BPF_REG_1, counts),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -24),
		BPF_MOV64_REG(BPF_REG_3, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -32),
		BPF_MOV64_IMM(BPF_REG_4, BPF_NOEXIST),
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_update_elem),
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_RAW_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	if (ubpfc_mount(mount_point()))
		return -1;
	return ubpfc_prog_load(BPF_PROG_TYPE_PERF_EVENT, insns, sizeof(insns), "GPL");
}

/* SIGINT and SIGTERM end the wait, and what was sampled is still shown. */
static void wait_a_while(double seconds, const sigset_t *set)
{
	struct timespec ts = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};

	while (sigtimedwait(set, NULL, &ts) < 0 && errno == EINTR)
		;
}

static int attach(const struct sampling *s, const char *pid, const char *freq, bool dwarf)
{
	struct bpf_prog_info info = {0};
	unsigned int len = sizeof(info);
	char id[16];

	if (ubpfc_obj_get_info_by_fd(s->prog, &info, &len)) {
		fail("the program");
		return -1;
	}
	snprintf(id, sizeof(id), "%u", info.id);
	return make_dir("events", s->source) || put("events", s->source, "type", "perf") ||
			       put("events", s->source, "event", "cpu-clock") ||
			       put("events", s->source, "freq", freq) ||
			       (dwarf && put("events", s->source, "unwind", "dwarf")) ||
			       put("events", s->source, "pid", pid) ||
			       put("events", s->source, "attach", id)
		       ? -1
		       : 0;
}

int sample_run(struct sampling *s, const char *pid, const char *freq, bool dwarf, double seconds)
{
	int stacks, counts, ret = 1;
	sigset_t set;

	memset(s, 0, sizeof(*s));
	s->prog = -1;
	snprintf(s->source, sizeof(s->source), "flame.%d", getpid());
	snprintf(s->stacks, sizeof(s->stacks), "flame.%d.stacks", getpid());
	snprintf(s->counts, sizeof(s->counts), "flame.%d.counts", getpid());
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	stacks = make_map(s->stacks, "stack_trace", NULL, "1016");
	counts = stacks < 0 ? -1 : make_map(s->counts, "hash", "24", "8");
	s->prog = counts < 0 ? -1 : load(stacks, counts);
	if (counts >= 0 && s->prog < 0)
		fail("the program");
	if (s->prog >= 0 && !attach(s, pid, freq, dwarf)) {
		/* Before it may end, so that what it is made of is known; then what came later. */
		put("maps", s->stacks, "symbols", pid);
		wait_a_while(seconds, &set);
		ret = put("events", s->source, "attach", "\n") ||
		      put("maps", s->stacks, "symbols", pid);
	}
	if (stacks >= 0)
		close(stacks);
	if (counts >= 0)
		close(counts);
	return ret;
}

void sample_end(struct sampling *s)
{
	if (s->prog >= 0)
		close(s->prog);
	remove_dir("events", s->source);
	remove_dir("maps", s->counts);
	remove_dir("maps", s->stacks);
}
