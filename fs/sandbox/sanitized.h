/*
 * sanitized.h - is this a build whose library does more than the program?
 *
 * Shadow memory has no limit, reports go to stderr, and at the end threads are made and traced.
 */
#ifndef UBPFFS_FS_SANDBOX_SANITIZED_H
#define UBPFFS_FS_SANDBOX_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
