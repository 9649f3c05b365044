/*
 * key_text.h - the names of keys in entries/ and dump, in the form that a map's `keys` says
 *
 * number	as text/value_text.h: 1, 2, 4, 8 bytes a number, others hexadecimal (the default)
 * hex		two digits a byte, whatever the size
 * ip		4 or 16 bytes an address; of a trie's key ADDRESS_BITS
 * btf		by the key's type: a number, an enumerator, text, or of a struct
 *		name=value,name=value (inner.member, list.0); a character that
 *		cannot be in such a name is %XX
 *
 * Guarantees
 *   A. What key_print() prints is a file name without blanks and key_parse() makes the same bytes
 *      of it: a key that the form cannot say (padding that is not zero, bytes behind a string's
 *      NUL) is printed as hexadecimal digits, which the form reads, too.
 *   B. A trie's prefix (10.0.0.0_8) is read in every form.
 * The form is kept in the hidden file KEYS_FILE of the map's directory.
 * Tests: tests/unit/test_key_text.c.
 */
#ifndef UBPFFS_FS_MAPS_TEXT_KEY_TEXT_H
#define UBPFFS_FS_MAPS_TEXT_KEY_TEXT_H

#include "core/map.h"
#include "fs/node/node.h"

#define KEYS_FILE	".keys"
#define ENTRIES_MAX_KEY 127 /* a longer key has no file name */

enum key_form { KEYS_NUMBER, KEYS_HEX, KEYS_IP, KEYS_BTF, KEYS_FORMS };

/* The form of the map that `node` is in. */
int key_form_of(struct fs_node *node, struct bpf_map *map, enum key_form *form);
/* Can such keys be said so? */
bool key_form_fits(const struct bpf_map *map, enum key_form form);

void key_print(const struct bpf_map *map, enum key_form form, const void *key, struct fs_text *out);
/* 0, or -EINVAL: no key of this map. */
int key_parse(const struct bpf_map *map, enum key_form form, const char *s, size_t len, void *key);
/* What a key looks like, for sentences. */
const char *key_form_about(const struct bpf_map *map, enum key_form form);

extern const struct fs_node_ops keys_ops; /* the file */

#endif
