/*
 * bytes.h - keys and values as people type them
 *
 * One word:
 *	5, -5, 0x1f		a number, when the size is 1, 2, 4 or 8; it must fit
 *	10.0.0.1, 2001:db8::1	an address, when the size is 4 or 16
 *	10.0.0.0/8		a prefix: of an lpm_trie
 *	02:00:00:00:00:01	a MAC address, when the size is 6
 *	"text", 'text'		the text, and zeros; an unquoted one where the type is text
 *	0a000001, 0x0a000001	all bytes as digits, for other sizes; parted by blanks for any size
 *	{"port":80}, DROP	JSON, an enumerator: where the types are known. Members that are
 *				left out keep what is in `out`
 * Several words: bpftool's bytes: `0x0a 0 0 1`, or `hex 0a 00 00 01`.
 * Pure functions. Tests: tests/unit/test_bytes.c.
 */
#ifndef UBPFFS_TOOLS_LIB_BYTES_H
#define UBPFFS_TOOLS_LIB_BYTES_H

#include "btf/btf.h"
#include "text/error.h"

struct bytes_type {
	const struct bpf_btf *btf; /* or NULL */
	u32 type_id;
	u32 size;
	bool trie; /* a prefix length, then the address */
};

/* 0, or -EINVAL or -ERANGE and why. */
int bytes_parse(int argc, char **argv, const struct bytes_type *type, void *out,
		struct error_record *why);

#endif
