/*
 * constkey.h - the constant that a compiler stored as an array's key
 */
#ifndef UBPFFS_VERIFIER_CONSTKEY_H
#define UBPFFS_VERIFIER_CONSTKEY_H

#include "util/types.h"

struct bpf_verifier_env;

s64 find_constant_key(const struct bpf_verifier_env *env, int i, int off);

#endif
