/*
 * extent.c - where an object that comes as a stream ends
 *
 * Looks at a growing prefix and trusts nothing. The caller asks again when it has the bytes that
 * *end names: three or four times after the header, however small the writes are.
 */
#include <elf.h>
#include "object/extent.h"
#include "object/object.h"

#define EM_BPF_MACHINE 247

/* Raise *end to off + size; -EFBIG beyond max. */
static int extent_add(u64 *end, u64 max, u64 off, u64 size)
{
	u64 sum;

	if (__builtin_add_overflow(off, size, &sum) || sum > max)
		return -EFBIG;
	if (sum > *end)
		*end = sum;
	return 0;
}

/* Do the bytes that are there contradict an eBPF relocatable? */
static bool extent_foreign(const u8 *data, size_t len)
{
	static const u8 ident[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
	static const u8 type_machine[] = {ET_REL, 0, EM_BPF_MACHINE, 0};

	for (size_t i = 0; i < sizeof(ident) && i < len; i++)
		if (data[i] != ident[i])
			return true;
	for (size_t i = 0; i < sizeof(type_machine) && i + EI_NIDENT < len; i++)
		if (data[i + EI_NIDENT] != type_machine[i])
			return true;
	return false;
}

static int extent_tables(const u8 *data, size_t len, u64 max, const Elf64_Ehdr *eh, u64 *end)
{
	u64 shnum = eh->e_shnum, phnum = eh->e_phnum;
	Elf64_Shdr sh;
	Elf64_Phdr ph;
	int err;

	/* Counts that do not fit 16 bits are in the first section header. */
	if (eh->e_shoff && (!shnum || phnum == PN_XNUM)) {
		err = extent_add(end, max, eh->e_shoff, sizeof(sh));
		if (err || *end > len)
			return err;
		memcpy(&sh, data + eh->e_shoff, sizeof(sh));
		shnum = shnum ? shnum : sh.sh_size;
		phnum = phnum == PN_XNUM ? sh.sh_info : phnum;
	}
	if (shnum > BPF_OBJECT_MAX_SECTIONS || phnum > BPF_OBJECT_MAX_SECTIONS)
		return -EFBIG;
	if ((shnum && eh->e_shoff && eh->e_shentsize != sizeof(sh)) ||
	    (phnum && eh->e_phentsize != sizeof(ph)))
		return -ENOEXEC;
	err = eh->e_shoff ? extent_add(end, max, eh->e_shoff, shnum * sizeof(sh)) : 0;
	if (!err && phnum)
		err = extent_add(end, max, eh->e_phoff, phnum * sizeof(ph));
	if (err || *end > len)
		return err;
	for (u64 i = 0; !err && eh->e_shoff && i < shnum; i++) {
		memcpy(&sh, data + eh->e_shoff + i * sizeof(sh), sizeof(sh));
		if (sh.sh_type != SHT_NOBITS && sh.sh_type != SHT_NULL)
			err = extent_add(end, max, sh.sh_offset, sh.sh_size);
	}
	for (u64 i = 0; !err && i < phnum; i++) {
		memcpy(&ph, data + eh->e_phoff + i * sizeof(ph), sizeof(ph));
		err = extent_add(end, max, ph.p_offset, ph.p_filesz);
	}
	return err;
}

int bpf_object_extent(const void *data, size_t len, size_t max, size_t *end)
{
	u64 need = sizeof(Elf64_Ehdr);
	Elf64_Ehdr eh;
	int err;

	if (extent_foreign(data, len))
		return -ENOEXEC;
	if (need > max)
		return -EFBIG;
	*end = len + 1; /* the next byte may tell that it is none */
	if (len < need)
		return 0;
	memcpy(&eh, data, sizeof(eh));
	if (eh.e_ehsize != sizeof(eh))
		return -ENOEXEC;
	err = extent_tables(data, len, max, &eh, &need);
	if (err)
		return err;
	*end = need;
	return need <= len;
}
