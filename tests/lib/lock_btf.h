/*
 * lock_btf.h - BTF of a map whose values have a lock, for the running kernel
 */
#ifndef UBPFFS_TESTS_LOCK_BTF_H
#define UBPFFS_TESTS_LOCK_BTF_H

#include "core/map.h"

#define LOCK_BTF_WORDS 96
#define LOCK_BTF_VALUE 5 /* the type of values */

/*
 * Fill buf with raw BTF of spec's keys and values; returns its bytes. *key gets the type of keys.
 */
u32 lock_btf(const struct bpf_map_spec *spec, u32 buf[LOCK_BTF_WORDS], u32 *key);

#endif
