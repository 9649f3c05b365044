/*
 * text.h - classic filters as tcpdump -ddd prints them
 */
#ifndef UBPFFS_CLASSIC_TEXT_H
#define UBPFFS_CLASSIC_TEXT_H

#include <linux/filter.h>
#include "util/log.h"

struct bpf_classic_text {
	char name[64]; /* of the first comment line, "" without one */
	struct sock_filter *insns; /* malloc()ed */
	u32 cnt;
};

/*
 * bpf_classic_text_parse - read what tcpdump -ddd prints
 *
 *	# NAME                  any number of comment lines; the first may name the program
 *	4                       the number of instructions
 *	40 0 0 12               code jt jf k, decimal, each line ended by a newline
 *	...
 *
 * Given the first `len` bytes of a stream: 1 and *end when the last line is complete at *end bytes
 * (<= len), and *out (freed by bpf_classic_text_free()); 0 when more is needed; -ENOEXEC for a
 * script (#!); -EINVAL as soon as the bytes are wrong (log says which line and why), -ENOMEM. What
 * follows the last line is not looked at.
 */
int bpf_classic_text_parse(const char *text, size_t len, size_t *end, struct bpf_classic_text *out,
			   struct bpf_log *log);
void bpf_classic_text_free(struct bpf_classic_text *text);
/* Could a stream that begins with this byte be such a text? */
bool bpf_classic_text_begins(char first);

#endif
