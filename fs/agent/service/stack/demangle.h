/*
 * demangle.h - names as their authors wrote them
 *
 * For a client's own process: what the C++ library makes of a hostile name ends nothing else.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_STACK_DEMANGLE_H
#define UBPFFS_FS_AGENT_SERVICE_STACK_DEMANGLE_H

/*
 * A symbol of C++, or of Rust in the older form (without its hash), as it is written in the source;
 * any other as it is. Valid until the next call. Where the machine has no C++ library names stay as
 * they are.
 */
const char *demangle(const char *name);

#endif
