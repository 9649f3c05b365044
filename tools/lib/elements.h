/*
 * elements.h - a map's elements, and what their bytes mean
 */
#ifndef UBPFFS_TOOLS_LIB_ELEMENTS_H
#define UBPFFS_TOOLS_LIB_ELEMENTS_H

#include "btf/btf.h"
#include "text/text.h"
#include "tools/lib/object.h"

/* As bpf(2) moves a value: of a per-CPU map one for each CPU. */
size_t value_room(const struct object *map);

/*
 * fn gets each element until it does not return 0; one that lives through the walk comes once. -1
 * with errno; EOPNOTSUPP: the map has no keys. Else what fn returned last.
 */
typedef int (*element_fn)(void *ctx, const void *key, const void *value);
int each_element(const struct object *map, element_fn fn, void *ctx);

/* The types of that id, as libbpf has them; NULL: none, or not for us. Kept until the end. */
const struct bpf_btf *types_of(unsigned int btf_id);

/* Bytes as people read them: by their types, else a number or hexadecimal. JSON. */
void key_json(const struct object *map, const void *key, struct fs_text *out);
/* cpu: which value of a per-CPU map's */
void value_json(const struct object *map, const void *value, unsigned int cpu, struct fs_text *out);

/* An element into the JSON that is printed, with bpftool's members. */
void out_element(const struct object *map, const void *key, const void *value);
/* The same as text: "key: K  value: V", or a line each CPU. */
void print_element(const struct object *map, const void *key, const void *value);

#endif
