/*
 * read.c - reads an object, in steps that leave what they found in the reader (elf/reader.h)
 *
 *   1. elf/elf.c      sections, symbols, relocations: checked against the file's bounds, copied
 *   2. elf/btf.c      .BTF: checked, data sections given their sizes and offsets, parsed
 *      externs.c      what is defined elsewhere: configuration (kconfig.c), absent kernel symbols
 *   3. elf/btf_ext.c  .BTF.ext: blocks of func_info, line_info and CO-RE relocations
 *   4. funcs.c        functions; those of a SEC() become programs
 *      block.c        how large the block is that a raw program works on
 *   5. maps.c         maps, .maps and the data sections become maps
 *   6. reloc.c        each program's instructions: subprograms appended, CO-RE (co_re/core.h),
 *                     references
 *   7. maps.c         .values initialisers
 */
#include "object/extent.h"
#include "object/elf/btf.h"
#include "object/elf/btf_ext.h"
#include "object/elf/elf.h"
#include "object/read/block.h"
#include "object/read/externs.h"
#include "object/read/funcs.h"
#include "object/read/maps.h"
#include "object/read/reloc.h"

static int read_object(struct obj_reader *r, const void *data, size_t len)
{
	int err = obj_read_elf(r, data, len);

	if (!err)
		err = obj_read_btf(r);
	if (!err)
		err = obj_read_externs(r);
	if (!err)
		err = obj_read_btf_ext(r);
	if (!err)
		err = obj_read_funcs(r);
	if (!err)
		err = obj_read_blocks(r);
	if (!err)
		err = obj_read_maps(r);
	if (!err)
		err = obj_link_progs(r);
	if (!err)
		err = obj_read_map_values(r);
	return err;
}

static void reader_free(struct obj_reader *r)
{
	obj_free_elf(r);
	free(r->datasecs);
	free(r->func_info);
	free(r->line_info);
	free(r->core);
	free(r->externs);
	free(r->kconfig);
	free(r->funcs);
	free(r->map_refs);
	free(r->values);
}

int bpf_object_read_complete(const void *data, size_t len, const char *type, struct bpf_log *log,
			     struct bpf_object_file **out)
{
	struct obj_reader r = {.log = log, .type = type};
	int err;

	*out = NULL;
	r.out = calloc(1, sizeof(*r.out));
	if (!r.out)
		return -ENOMEM;
	err = read_object(&r, data, len);
	reader_free(&r);
	if (err) {
		bpf_object_file_free(r.out);
		return err;
	}
	*out = r.out;
	return 0;
}

int bpf_object_read(const void *data, size_t len, struct bpf_log *log, struct bpf_object_file **out)
{
	struct obj_reader r = {.log = log};
	size_t end = 0;
	int err;

	*out = NULL;
	err = bpf_object_extent(data, len, SIZE_MAX, &end);
	if (err == -ENOEXEC)
		return obj_fail(&r, err, "this is not a little-endian 64-bit eBPF ELF object");
	if (err < 0)
		return obj_fail(&r, -EINVAL, "ELF: the headers claim more than an object can have");
	if (!err)
		return obj_fail(&r, -EINVAL,
				"ELF: the object is truncated: %zu bytes are not all of it", len);
	return bpf_object_read_complete(data, end, NULL, log, out);
}

void bpf_object_file_free(struct bpf_object_file *obj)
{
	if (!obj)
		return;
	for (u32 i = 0; i < obj->map_cnt; i++) {
		free(obj->maps[i].init);
		free(obj->maps[i].init_slot);
		free(obj->maps[i].init_target);
	}
	for (u32 i = 0; i < obj->prog_cnt; i++) {
		free(obj->progs[i].insns);
		free(obj->progs[i].func_info);
		free(obj->progs[i].line_info);
		for (u32 j = 0; j < obj->progs[i].note_cnt; j++)
			free(obj->progs[i].notes[j].text);
		free(obj->progs[i].notes);
	}
	free(obj->maps);
	free(obj->progs);
	bpf_btf_put(obj->btf);
	free(obj);
}
