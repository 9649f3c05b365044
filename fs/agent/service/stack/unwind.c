/*
 * unwind.c - see unwind.h
 *
 * A few processes are kept open (a Dwfl each: its modules and their frame tables); the one used
 * longest ago goes. The modules are read again when an address is in none of them (a library was
 * loaded), at most once a second. The mappings for build ids once a second.
 */
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <asm/perf_regs.h>
#include "fs/agent/service/stack/mapped.h"
#include "fs/agent/service/stack/unwind.h"

#define KEPT 64

struct process {
	struct unwind *owner;
	pid_t pid; /* 0: a free place */
	int proc; /* its directory in /proc */
	Dwfl *dwfl;
	u64 used;
	time_t reported;
	struct bpf_mappings mappings;
	time_t mapped; /* when they were read */
	int err; /* it cannot be unwound */
};

struct unwind {
	u64 clock;
	struct process kept[KEPT];
	/* the sample of the moment */
	const struct stack_request *request;
	u64 *ips;
	u32 nr, max;
};

struct unwind *unwind_new(void)
{
	return calloc(1, sizeof(struct unwind));
}

static void forget(struct process *p)
{
	if (p->dwfl)
		dwfl_end(p->dwfl);
	bpf_mappings_free(&p->mappings);
	if (p->pid && p->proc >= 0)
		close(p->proc);
	memset(p, 0, sizeof(*p));
}

void unwind_forget(struct unwind *u, pid_t pid)
{
	for (u32 i = 0; i < KEPT; i++)
		if (u->kept[i].pid == pid)
			forget(&u->kept[i]);
}

static u64 reg(const struct unwind *u, u32 nr)
{
	if (!(u->request->mask >> nr & 1))
		return 0;
	return u->request->words[__builtin_popcountll(u->request->mask & ((1ULL << nr) - 1))];
}

/* ---- what libdw asks */

static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	struct process *p = *userdata ? *userdata : NULL;
	int fd = p ? mapped_open(p->proc, name) : -1;

	*file_name = NULL;
	*elf = NULL;
	if (fd >= 0)
		*file_name = strdup(name);
	return fd < 0 ? -1 : fd;
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
	struct unwind *u = ((struct process *)arg)->owner;

	if (*thread)
		return 0;
	*thread = arg;
	return (pid_t)u->request->pid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread)
{
	*thread = arg;
	return true;
}

/* Words of the copied stack; nothing else of the process is read. */
static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	const struct unwind *u = ((struct process *)arg)->owner;
	u64 start = 0, size = u->request->stack_size;

#ifdef __x86_64__
	start = reg(u, PERF_REG_X86_SP);
#endif
	if (size < 8 || addr < start || addr - start > size - 8)
		return false;
	memcpy(result, (const char *)u->request->stack + (addr - start), 8);
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
	const struct unwind *u = ((struct process *)arg)->owner;
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

static FILE *open_maps(const struct process *p)
{
	int fd = openat(p->proc, "maps", O_RDONLY | O_CLOEXEC);
	FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");

	if (fd >= 0 && !maps)
		close(fd);
	return maps;
}

static int report(struct process *p)
{
	FILE *maps = open_maps(p);
	int err;

	if (!maps)
		return -errno;
	dwfl_report_begin(p->dwfl);
	err = dwfl_linux_proc_maps_report(p->dwfl, maps);
	dwfl_report_end(p->dwfl, NULL, NULL);
	fclose(maps);
	dwfl_getmodules(p->dwfl, set_userdata, p, 0);
	p->reported = time(NULL);
	return err ? -EIO : 0;
}

static int begin_unwinding(struct process *p)
{
	int err;

	p->dwfl = dwfl_begin(&dwfl_callbacks);
	err = p->dwfl ? report(p) : -ENOMEM;
	if (!err && !dwfl_attach_state(p->dwfl, NULL, p->pid, &thread_callbacks, p))
		err = -EIO;
	return err;
}

static struct process *find_process(struct unwind *u, pid_t pid)
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
	p->proc = mapped_proc(pid);
	p->err = min(p->proc, 0);
	return p;
}

static int frame(Dwfl_Frame *state, void *arg)
{
	struct unwind *u = arg;
	Dwarf_Addr pc;
	bool activation;

	if (u->nr >= u->max || !dwfl_frame_pc(state, &pc, &activation) || !pc)
		return DWARF_CB_ABORT;
	u->ips[u->nr++] = pc;
	return DWARF_CB_OK;
}

int unwind_stack(struct unwind *u, const struct stack_request *request, u64 *ips, u32 max)
{
	struct process *p;
	u64 pc = 0;

	u->request = request;
	u->ips = ips;
	u->nr = 0;
	u->max = max;
	p = find_process(u, (pid_t)request->pid);
#ifdef __x86_64__
	pc = reg(u, PERF_REG_X86_IP);
#endif
	if (!p->err && !p->dwfl)
		p->err = begin_unwinding(p);
	if (!p->err && !dwfl_addrmodule(p->dwfl, pc) && p->reported != time(NULL))
		p->err = report(p);
	if (p->err)
		return p->err;
	dwfl_getthread_frames(p->dwfl, (pid_t)request->pid, frame, u);
	if (!u->nr && max) /* at least where it was */
		ips[u->nr++] = pc;
	return (int)u->nr;
}

static int open_file(void *proc, const char *path)
{
	return mapped_open(*(const int *)proc, path);
}

void unwind_build_ids(struct unwind *u, pid_t pid, const u64 *ips, u32 nr,
		      struct bpf_stack_build_id *out)
{
	struct process *p = find_process(u, pid);
	FILE *maps;

	if (p->proc >= 0 && p->mapped != time(NULL)) {
		maps = open_maps(p);
		if (maps) { /* else it has ended, and what is known is all that is known */
			bpf_mappings_read(&p->mappings, maps, open_file, &p->proc);
			fclose(maps);
		}
		p->mapped = time(NULL);
	}
	bpf_mappings_build_ids(&p->mappings, ips, nr, out);
}
