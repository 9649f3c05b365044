/*
 * json_parse.h - keys and values from JSON: what json_print.h prints, and parts of it
 *
 * What the text does not say keeps its bytes: members that are left out, elements beyond the end of
 * a list. Of a union any member may be said; of several the later ones count, but that the rest of
 * a string's room is zeroed only where nothing else was said, so that all the views of a union that
 * json_print.h prints give the same bytes again. Numbers may be 0x hexadecimal, and any number may
 * stand in a string (some tools cannot write 64 bits otherwise).
 *
 * Guarantees, whatever the text and whatever BTF passed bpf_btf_check():
 *   A. nothing outside of the `size` bytes is written;
 *   B. what json_value() printed of a key or value (padding apart, and what lies behind the NUL of
 *      a string) comes back;
 *   C. time is bounded by a multiple of the text's length and `size`.
 * Pure functions. Tests: tests/unit/test_json_parse.c.
 */
#ifndef UBPFFS_TEXT_JSON_PARSE_H
#define UBPFFS_TEXT_JSON_PARSE_H

#include <sys/types.h>
#include "btf/btf.h"
#include "text/error.h"

/* Whether a text is JSON at all: it begins as nothing else does that stands for a value. */
bool json_begins(const char *s, size_t len);

/*
 * How long the value is that s begins with (blanks before it are part of it). 0: it is not whole
 * yet. -EINVAL: it is none. A number or word that reaches the end of s counts as whole.
 */
ssize_t json_extent(const char *s, size_t len);

/* Where an object's member of that name is, as an extent of `s`, which is a whole object. */
bool json_member(const char *s, size_t len, const char *name, const char **value, size_t *n);
/* The elements of a list one after another; *pos is 0 at first. False at its end. */
bool json_element(const char *s, size_t len, size_t *pos, const char **value, size_t *n);

/*
 * One whole JSON value into `size` bytes of type `type_id`; btf NULL, or type_id 0: without BTF.
 * said (may be NULL): `size` bytes, those that the text says become 1. 0, -EINVAL or -ERANGE and
 * why, -ENOMEM.
 */
int json_parse(const char *s, size_t len, const struct bpf_btf *btf, u32 type_id, void *data,
	       u8 *said, u32 size, struct error_record *why);

#endif
