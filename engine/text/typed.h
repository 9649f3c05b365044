/*
 * typed.h - what the text forms of typed bytes (JSON, names of keys) ask of BTF
 *
 * Pure functions over BTF that passed bpf_btf_check().
 */
#ifndef UBPFFS_TEXT_TYPED_H
#define UBPFFS_TEXT_TYPED_H

#include <bpf/btf.h>
#include "util/types.h"

/* The type behind typedefs and qualifiers, or NULL. */
const struct btf_type *typed_resolve(const struct btf *btf, u32 id);
/* Is an array of these text? */
bool typed_is_char(const struct btf *btf, u32 id);
/*
 * Is this what such a map's keys or values are? Data sections may be shorter than their variables
 * say: walked.
 */
bool typed_fits(const struct btf *btf, u32 id, u32 size);
const char *typed_name(const struct btf *btf, u32 off); /* "" when there is none */

/* `bits` (1 to 64) bits from bit `off` of data, as the target's compiler lays them out. */
u64 typed_load_bits(const u8 *data, u64 off, u32 bits);
void typed_store_bits(u8 *data, u64 off, u32 bits, u64 v);

#endif
