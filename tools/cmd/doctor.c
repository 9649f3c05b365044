/*
 * doctor.c - ubpfctl doctor: what this machine allows, and how to get the rest
 *
 * Each line is tried, not guessed, where trying changes nothing. The exit status is 1 when a server
 * could not mount; the rest is what some jobs need.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/native.h"
#include "tools/lib/output.h"
#include "uapi/bpf_insn.h"
#include "uapi/ubpffs_client.h"
#include "util/types.h"

static bool in_path(const char *name)
{
	static const char *const dirs[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					   "/usr/bin",	      "/sbin",		"/bin"};
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], name);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = -1000;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1000;
	if (f)
		fclose(f);
	return n;
}

static bool has_word(const char *path, const char *word)
{
	char line[4096];
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, word, strlen(word)) ||
			(line[0] == ' ' && strstr(line, word));
	if (f)
		fclose(f);
	return found;
}

static bool kernel_is(int major, int minor)
{
	struct utsname u;
	int a = 0, b = 0;

	return !uname(&u) && sscanf(u.release, "%d.%d", &a, &b) == 2 &&
	       (a > major || (a == major && b >= minor));
}

static bool perf_opens(unsigned int type, unsigned long long config, bool kernel)
{
	struct perf_event_attr attr = {.type = type,
				       .size = sizeof(attr),
				       .config = config,
				       .sample_period = 1000000,
				       .disabled = 1,
				       .exclude_kernel = !kernel,
				       .exclude_callchain_kernel = !kernel};
	__do_close int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	return fd >= 0;
}

/* ---- the checks: a word for the state of things, or NULL: it is not allowed */

static const char *check_fuse(void)
{
	__do_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return "/dev/fuse opens";
	/* fusermount3 opens it with its own rights. */
	return geteuid() && !access("/dev/fuse", F_OK) ? "/dev/fuse is there, for fusermount3"
						       : NULL;
}

static const char *check_fusermount(void)
{
	return !geteuid()		? "root needs none"
	       : in_path("fusermount3") ? "fusermount3 is there"
					: NULL;
}

static const char *check_allow_other(void)
{
	if (!geteuid())
		return "root may";
	return has_word("/etc/fuse.conf", "user_allow_other") ? "user_allow_other is set" : NULL;
}

static const char *check_passthrough(void)
{
	return !geteuid() && kernel_is(6, 9) ? "root, and Linux 6.9 or later" : NULL;
}

static const char *check_takeover(void)
{
	return kernel_is(6, 9) ? "Linux 6.9 or later sends requests again" : NULL;
}

static const char *check_nfqueue(void)
{
	__do_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0 || access("/proc/net/netfilter/nfnetlink_queue", F_OK))
		return NULL;
	return in_path("nft") && !geteuid() ? "nfnetlink_queue and nft" : NULL;
}

/* A directory of cgroup v2 in which we may make others. */
static const char *check_delegation(void)
{
	static char text[512];
	char line[4096], root[512] = "", own[512] = "", path[1100];
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 "))
			sscanf(line, "%*s %*s %*s %*s %511s", root);
	if (f)
		fclose(f);
	f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3))
			sscanf(line + 3, "%511s", own);
	if (f)
		fclose(f);
	if (!*root)
		return NULL;
	snprintf(path, sizeof(path), "%s%s", root, own);
	if (access(path, W_OK))
		return NULL;
	snprintf(text, sizeof(text), "%.500s is ours", path);
	return text;
}

static const char *check_perf(void)
{
	if (!perf_opens(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, false))
		return NULL;
	return perf_opens(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true)
		       ? "of own processes, with kernel frames"
		       : "of own processes, user code only";
}

static const char *check_counters(void)
{
	return perf_opens(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false) ? "cpu-cycles counts"
									       : NULL;
}

static const char *check_uprobes(void)
{
	if (access("/sys/bus/event_source/devices/uprobe/type", R_OK))
		return NULL;
	return !geteuid() ? "the kernel has them" : NULL;
}

static const char *check_btf(void)
{
	return access("/sys/kernel/btf/vmlinux", R_OK) ? NULL : "/sys/kernel/btf/vmlinux";
}

static const char *check_jit(void)
{
#ifdef __x86_64__
	__do_close int fd = memfd_create("ubpfctl-doctor", MFD_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, 4096))
		p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	munmap(p, 4096);
	return "memory may be executed";
#else
	return NULL;
#endif
}

static const char *check_kernel_bpf(void)
{
	struct bpf_insn insns[] = {BPF_MOV64_IMM(BPF_REG_0, 0), BPF_EXIT_INSN()};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
			       .insns = (uintptr_t)insns,
			       .insn_cnt = ARRAY_SIZE(insns),
			       .license = (uintptr_t) "GPL"};
	__do_close int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	return fd >= 0 ? "bpf(2) loads programs" : NULL;
}

static const char *check_userns(void)
{
	return read_number("/proc/sys/user/max_user_namespaces") > 0 ? "may be made" : NULL;
}

static const char *check_clang(void)
{
	return in_path("clang") || in_path("clang-19") || in_path("clang-14") ? "clang" : NULL;
}

static const char *check_mnemonics(void)
{
	return native_missing() ? NULL : "libcapstone";
}

static int first_mount(void *ctx, const char *path, unsigned int uid)
{
	snprintf(ctx, 512, "%.480s (uid %u)", path, uid);
	return 1;
}

static const char *check_mount(void)
{
	static char text[512];

	return ubpfc_each_mount(first_mount, text) ? text : NULL;
}

static const struct check {
	const char *name, *what;
	const char *(*check)(void);
	const char *remedy;
	bool needed; /* for any mount */
} checks[] = {
	{"fuse", "a mount", check_fuse,
	 "modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN", true},
	{"fusermount", "a mount by an ordinary user", check_fusermount, "apt install fuse3", true},
	{"allow_other", "a mount that other users may use", check_allow_other,
	 "a line user_allow_other in /etc/fuse.conf"},
	{"passthrough", "mmap of map files by any user", check_passthrough,
	 "run the server as root on Linux 6.9; else map `mem` as the server's user"},
	{"takeover", "clients that go on when a server dies", check_takeover,
	 "Linux 6.9; before, what was under way is EIO"},
	{"nfqueue", "-o enforce: packets of real processes", check_nfqueue,
	 "root (or unshare -Urn), apt install nftables, modprobe nfnetlink_queue"},
	{"delegation", "-o enforce: cgroups of our own", check_delegation,
	 "mount cgroup2; systemd-run --user -p Delegate=yes, or -o enforce_cgroup=DIR"},
	{"perf", "profiles of processes", check_perf, "sysctl kernel.perf_event_paranoid=2"},
	{"counters", "cpu-cycles, instructions, cache-misses as events", check_counters,
	 "a machine with a PMU, or a virtual machine that has one; cpu-clock works without"},
	{"uprobes", "functions of programs as events", check_uprobes,
	 "root, and a kernel with CONFIG_UPROBE_EVENTS"},
	{"btf", "CO-RE relocations to kernel types", check_btf,
	 "a kernel with CONFIG_DEBUG_INFO_BTF, or -o btf=FILE"},
	{"jit", "native code", check_jit,
	 "x86-64, and executable memory (SELinux, MemoryDenyWriteExecute); else it is interpreted"},
	{"kernel_bpf", "the kernel's BPF, to compare with", check_kernel_bpf,
	 "root, or kernel.unprivileged_bpf_disabled=0; nothing here needs it"},
	{"namespaces", "trying things without root (unshare -Ur)", check_userns,
	 "sysctl user.max_user_namespaces=10000"},
	{"clang", "compiling programs", check_clang, "apt install clang"},
	{"mnemonics", "prog dump jited with mnemonics", check_mnemonics,
	 "apt install libcapstone4"},
	{"mounted", "a ubpffs", check_mount, "start one: mkdir -p /tmp/bpf && ubpffs /tmp/bpf"},
};

int cmd_doctor(int argc, char **argv)
{
	bool color = isatty(STDOUT_FILENO);
	int ret = 0;

	if (argc != 1)
		return 2;
	if (out_json())
		out_begin(NULL, '[');
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		const struct check *c = &checks[i];
		const char *found = c->check();

		ret |= !found && c->needed;
		if (out_json()) {
			out_begin(NULL, '{');
			out_str("name", c->name);
			out_bool("ok", found);
			out_str("what", c->what);
			out_str(found ? "found" : "remedy", found ? found : c->remedy);
			out_end('}');
		} else {
			printf("%s%-4s%s %-12s %s: %s\n",
			       !color  ? ""
			       : found ? "\033[32m"
				       : "\033[33m",
			       found ? "ok" : "no", color ? "\033[0m" : "", c->name, c->what,
			       found ? found : c->remedy);
		}
	}
	if (out_json())
		out_end(']');
	return ret | out_done();
}
