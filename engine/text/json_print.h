/*
 * json_print.h - keys and values as JSON, with the names and types that BTF gives them
 *
 *	structs, unions	objects by member (those of an anonymous one are its parent's); a union
 *			shows all of its views
 *	arrays		lists; of char: a string, when what is before the first NUL is printable
 *	integers	numbers; bool true or false; more than 64 bits: a hexadecimal string
 *	enums		the name, or the number when no name has it
 *	floats		numbers; "nan", "inf" and "-inf" for what JSON has no number for
 *	pointers	hexadecimal strings
 *	data sections	objects by variable
 *	without BTF	1, 2, 4 and 8 bytes an unsigned number, others a hexadecimal string
 *
 * Guarantees, whatever the bytes and whatever BTF passed bpf_btf_check():
 *   A. one complete JSON value is appended; names and strings are valid UTF-8;
 *   B. nothing outside of the `size` bytes is read: a type that says otherwise is as no type;
 *   C. text and time are bounded by a multiple of `size`: types that fan out more are as no type.
 * Pure functions. Tests: tests/unit/test_json_print.c.
 */
#ifndef UBPFFS_TEXT_JSON_PRINT_H
#define UBPFFS_TEXT_JSON_PRINT_H

#include "btf/btf.h"
#include "text/text.h"

/* A string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void json_string(struct fs_text *out, const char *s, size_t len);

/* `size` bytes of type `type_id`; btf NULL, or type_id 0: without BTF. */
void json_value(struct fs_text *out, const struct bpf_btf *btf, u32 type_id, const void *data,
		u32 size);

#endif
