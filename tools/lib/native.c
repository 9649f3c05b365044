/*
 * native.c - see native.h
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "tools/lib/native.h"

#if defined(__has_include) && __has_include(<capstone/capstone.h>)

/* Version 5 calls its list of BPF instructions so, which is the kernel's name of a structure. */
#define bpf_insn capstone_bpf_insn
#include <capstone/capstone.h>
#undef bpf_insn

#define TEXT_OF(x)    #x
#define VERSION_OF(x) TEXT_OF(x)
#define LIBRARY	      "libcapstone.so." VERSION_OF(CS_API_MAJOR)

static struct {
	bool tried, ready;
	csh handle;
	cs_insn *insn;
	__typeof__(cs_open) *open;
	__typeof__(cs_malloc) *malloc;
	__typeof__(cs_disasm_iter) *disasm;
} cs;

static bool load(void)
{
#ifdef __x86_64__
	const int arch = CS_ARCH_X86, mode = CS_MODE_64;
#else
	const int arch = CS_ARCH_ARM64, mode = 0;
#endif
	void *lib;

	if (cs.tried)
		return cs.ready;
	cs.tried = true;
	lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return false;
	*(void **)&cs.open = dlsym(lib, "cs_open");
	*(void **)&cs.malloc = dlsym(lib, "cs_malloc");
	*(void **)&cs.disasm = dlsym(lib, "cs_disasm_iter");
	if (!cs.open || !cs.malloc || !cs.disasm || cs.open(arch, mode, &cs.handle))
		return false;
	cs.insn = cs.malloc(cs.handle);
	cs.ready = cs.insn;
	return cs.ready;
}

const char *native_missing(void)
{
	return load() ? NULL
		      : "mnemonics need " LIBRARY
			" (Debian: libcapstone" VERSION_OF(CS_API_MAJOR) "); these are bytes";
}

size_t native_insn(const void *code, size_t size, unsigned long long addr, char *buf, size_t len)
{
	const uint8_t *at = code;
	uint64_t pc = addr;

	if (!load() || !cs.disasm(cs.handle, &at, &size, &pc, cs.insn))
		return 0;
	snprintf(buf, len, "%s%s%s", cs.insn->mnemonic, *cs.insn->op_str ? " " : "",
		 cs.insn->op_str);
	return cs.insn->size;
}

#else

const char *native_missing(void)
{
	return "this ubpfctl was built without libcapstone-dev; these are bytes";
}

size_t native_insn(const void *code, size_t size, unsigned long long addr, char *buf, size_t len)
{
	return 0;
}

#endif
