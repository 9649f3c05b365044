/*
 * reader.c - what a step of the reader says: why it fails, and what is wrong with an instruction
 */
#include "object/elf/reader.h"

#define MAX_NOTES 1024 /* of one program */

int obj_fail(struct obj_reader *r, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	bpf_log_verror(r->log, fmt, args);
	va_end(args);
	return err;
}

int obj_add_note(struct bpf_object_prog *prog, u32 insn, char *text)
{
	struct bpf_insn_note *notes;

	if (!text)
		return -ENOMEM;
	if (prog->note_cnt == MAX_NOTES) { /* the rest is without words */
		free(text);
		return 0;
	}
	notes = realloc(prog->notes, (prog->note_cnt + 1) * sizeof(*notes));
	if (!notes) {
		free(text);
		return -ENOMEM;
	}
	prog->notes = notes;
	notes[prog->note_cnt++] = (struct bpf_insn_note){insn, text};
	return 0;
}
