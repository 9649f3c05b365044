/*
 * perf_unwind.c - see perf_unwind.h
 *
 * A few processes are kept open (a Dwfl each: its modules and their frame tables); the one used longest ago goes. The
 * modules are read again when an address is in none of them (a library was loaded), at most once a second. The
 * files are opened through the process's own root, as the owner of the source.
 */
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <asm/perf_regs.h>
#include "fs/source/perf_unwind.h"
#include "fs/source/source.h"

#define KEPT 16

struct process {
	struct perf_unwind *owner;
	pid_t pid;
	Dwfl *dwfl;
	u64 used;
	time_t reported;
	int err;
};

struct perf_unwind {
	uid_t uid;
	gid_t gid;
	u64 clock;
	struct process kept[KEPT];
	/* the sample of the moment */
	const struct perf_sample *sample;
	u64 mask;
	pid_t pid;
	u64 *ips;
	u32 nr, max;
};

struct perf_unwind *perf_unwind_new(uid_t uid, gid_t gid)
{
	struct perf_unwind *u = calloc(1, sizeof(*u));

	if (u) {
		u->uid = uid;
		u->gid = gid;
	}
	return u;
}

static void forget(struct process *p)
{
	if (p->dwfl)
		dwfl_end(p->dwfl);
	memset(p, 0, sizeof(*p));
}

void perf_unwind_free(struct perf_unwind *u)
{
	for (u32 i = 0; u && i < KEPT; i++)
		forget(&u->kept[i]);
	free(u);
}

static u64 reg(const struct perf_unwind *u, u32 nr)
{
	if (!(u->mask >> nr & 1))
		return 0;
	return u->sample->user.v[__builtin_popcountll(u->mask & ((1ULL << nr) - 1))];
}

/* ---- what libdw asks */

/* Only the owner's own rights open the files that a process says it has mapped. */
static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	struct process *p = *userdata ? *userdata : NULL;
	char path[4200];
	struct client_file file = {path, O_RDONLY, 0};
	int fd;

	*file_name = NULL;
	*elf = NULL;
	if (!p || name[0] != '/')
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/root%s", p->pid, name);
	fd = client_open_file(p->owner->uid, p->owner->gid, &file);
	if (fd < 0)
		return -1;
	*file_name = strdup(name);
	return fd;
}

/* Debug information in other files is not looked for: frames come from the file itself. */
static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *debuglink, GElf_Word crc,
			  char **debug_name)
{
	return -1;
}

static const Dwfl_Callbacks dwfl_callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_debuginfo,
};

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	struct perf_unwind *u = ((struct process *)arg)->owner;

	if (*thread)
		return 0;
	*thread = arg;
	return u->pid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread)
{
	*thread = arg;
	return true;
}

/* Words of the copied stack; nothing else of the process is read. */
static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	const struct perf_unwind *u = ((struct process *)arg)->owner;
	u64 start = 0, size = u->sample->stack_size;

#ifdef __x86_64__
	start = reg(u, PERF_REG_X86_SP);
#endif
	if (!u->sample->stack || size < 8 || addr < start || addr - start > size - 8)
		return false;
	memcpy(result, (const char *)u->sample->stack + (addr - start), 8);
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
#ifdef __x86_64__
	/* In DWARF's order; the last is the address itself. */
	static const u8 order[] = {
		PERF_REG_X86_AX,  PERF_REG_X86_DX,  PERF_REG_X86_CX,  PERF_REG_X86_BX,
		PERF_REG_X86_SI,  PERF_REG_X86_DI,  PERF_REG_X86_BP,  PERF_REG_X86_SP,
		PERF_REG_X86_R8,  PERF_REG_X86_R9,  PERF_REG_X86_R10, PERF_REG_X86_R11,
		PERF_REG_X86_R12, PERF_REG_X86_R13, PERF_REG_X86_R14, PERF_REG_X86_R15,
		PERF_REG_X86_IP,
	};
	const struct perf_unwind *u = ((struct process *)arg)->owner;
	Dwarf_Word words[ARRAY_SIZE(order)];

	for (u32 i = 0; i < ARRAY_SIZE(order); i++)
		words[i] = reg(u, order[i]);
	dwfl_thread_state_register_pc(thread, words[16]);
	return dwfl_thread_state_registers(thread, 0, ARRAY_SIZE(order), words);
#else
	return false;
#endif
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_registers,
};

/* ---- processes */

static int set_userdata(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr start,
			void *arg)
{
	*userdata = arg;
	return DWARF_CB_OK;
}

static int open_maps(void *arg, u32 i)
{
	int fd = open(arg, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int report(struct process *p)
{
	char path[64];
	FILE *maps;
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	err = client_open(p->owner->uid, p->owner->gid, open_maps, path, 1, &fd);
	if (err || fd < 0)
		return err ? err : fd;
	maps = fdopen(fd, "r");
	if (!maps) {
		close(fd);
		return -ENOMEM;
	}
	dwfl_report_begin(p->dwfl);
	err = dwfl_linux_proc_maps_report(p->dwfl, maps);
	dwfl_report_end(p->dwfl, NULL, NULL);
	fclose(maps);
	dwfl_getmodules(p->dwfl, set_userdata, p, 0);
	p->reported = time(NULL);
	return err ? -EIO : 0;
}

static struct process *find_process(struct perf_unwind *u, pid_t pid)
{
	struct process *p = &u->kept[0];

	for (u32 i = 0; i < KEPT; i++) {
		if (u->kept[i].pid == pid) {
			u->kept[i].used = ++u->clock;
			return &u->kept[i];
		}
		if (u->kept[i].used < p->used)
			p = &u->kept[i];
	}
	forget(p);
	p->owner = u;
	p->pid = pid;
	p->used = ++u->clock;
	p->dwfl = dwfl_begin(&dwfl_callbacks);
	p->err = p->dwfl ? report(p) : -ENOMEM;
	if (!p->err && !dwfl_attach_state(p->dwfl, NULL, pid, &thread_callbacks, p))
		p->err = -EIO;
	return p;
}

static int frame(Dwfl_Frame *state, void *arg)
{
	struct perf_unwind *u = arg;
	Dwarf_Addr pc;
	bool activation;

	if (u->nr >= u->max || !dwfl_frame_pc(state, &pc, &activation) || !pc)
		return DWARF_CB_ABORT;
	u->ips[u->nr++] = pc;
	return DWARF_CB_OK;
}

int perf_unwind(struct perf_unwind *u, const struct perf_sample *sample, u64 mask, u64 *ips,
		u32 max)
{
	struct process *p;
	u64 pc = 0;

	u->sample = sample;
	u->mask = mask;
	u->pid = (pid_t)sample->pid;
	u->ips = ips;
	u->nr = 0;
	u->max = max;
	p = find_process(u, (pid_t)sample->pid);
#ifdef __x86_64__
	pc = reg(u, PERF_REG_X86_IP);
#endif
	if (!p->err && !dwfl_addrmodule(p->dwfl, pc) && p->reported != time(NULL))
		p->err = report(p);
	if (p->err)
		return p->err;
	dwfl_getthread_frames(p->dwfl, u->pid, frame, u);
	if (!u->nr && max) /* at least where it was */
		ips[u->nr++] = pc;
	return (int)u->nr;
}
