/*
 * object.h - the compiled programs of tests/progs and examples, for tests
 */
#ifndef UBPFFS_TESTS_OBJECT_H
#define UBPFFS_TESTS_OBJECT_H

#include "object/object.h"

/* Names of all objects of tests/progs, without ".bpf.o", sorted; NULL-terminated. Never freed. */
const char *const *test_object_names(void);

/*
 * The bytes of an object of tests/progs ("count_ports") or of examples ("examples/traffic"), in
 * memory of exactly that size; the caller frees it. Ends the program when there is no such file.
 */
void *test_object_bytes(const char *name, size_t *size);

const char *test_object_path(const char *name); /* until the next call */

/*
 * What must hold of anything that bpf_object_read() accepts: indices in range, calls to the start
 * of functions, info in rising order. NULL, or what does not.
 */
const char *test_object_insane(const struct bpf_object_file *obj);

const struct bpf_object_map *test_object_map(const struct bpf_object_file *obj, const char *name);
const struct bpf_object_prog *test_object_prog(const struct bpf_object_file *obj, const char *name);

#endif
