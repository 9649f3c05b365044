/*
 * perf_map.c - where native code lies, told to profilers
 */
#include "jit/perf_map.h"
#include "jit/execmem.h"
#include "util/hex.h"
#include "util/write_all.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_LEN 192

static int map_fd = -1;

void bpf_jit_perf_map(int fd)
{
	map_fd = fd;
	execmem_use_no_files();
}

static int put_line(char *line, const struct bpf_prog *prog, u32 i, u64 addr, u32 size)
{
	const char *name = i ? prog->subprogs[i].name : NULL;
	char tag[2 * BPF_TAG_SIZE + 1], *end = tag;
	int len;

	for (u32 b = 0; b < BPF_TAG_SIZE; b++)
		end = hex_byte(end, prog->tag[b]);
	*end = 0;
	if (!i)
		name = prog->name;
	len = snprintf(line, LINE_MAX_LEN, "%llx %x bpf_prog_%s_%.128s", (unsigned long long)addr,
		       size, tag, name ? name : "F");
	for (int c = 0; c < len; c++)
		if ((u8)line[c] < ' ' || line[c] == 0x7f)
			line[c] = '?'; /* a name makes no lines */
	line[len] = '\n';
	return len + 1;
}

void perf_map_add(const struct bpf_prog *prog, const void *addr, const u32 *offs, u32 len)
{
	__do_free char *text = NULL;
	size_t used = 0;

	if (map_fd < 0)
		return;
	text = malloc((size_t)prog->subprog_cnt * LINE_MAX_LEN);
	if (!text)
		return; /* a profile without these names */
	for (u32 i = 0; i < prog->subprog_cnt; i++) {
		/* What stands before the first instruction is the first function's. */
		u32 begin = i ? offs[prog->subprogs[i].start] : 0;
		u32 end = i + 1 < prog->subprog_cnt ? offs[prog->subprogs[i + 1].start] : len;

		if (end > begin)
			used += (size_t)put_line(text + used, prog, i, (uintptr_t)addr + begin,
						 end - begin);
	}
	write_all(map_fd, text, used);
}
