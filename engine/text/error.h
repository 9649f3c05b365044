/*
 * error.h - why something failed: one record
 *
 * Functions return 0 or -errno. The place that knows why fills the record that its caller handed
 * down, with what it is about, the rule, and what to do:
 *
 *   - Who refuses something says by which rule.
 *   - Who made a call that failed (a system call, one of the engine's, a question to the agent)
 *     says in the next lines what its errno means there: nobody else knows what was asked for.
 *   - Above, nobody looks at an errno to choose words. What it was about may go before the sentence
 *     (error_about()).
 *   - Who handles an error, so that it is none any more, clears the record, or hands down NULL.
 *
 * The first reason stays: it is the nearest to the fault. Where nobody knew more than the errno,
 * the record says no more than that. Who answers prints it: a request's in M/log (fs_error() in
 * node/request.h), a source's in its `stats`, the server's own on stderr.
 */
#ifndef UBPFFS_TEXT_ERROR_H
#define UBPFFS_TEXT_ERROR_H

struct error_record { /* all zero: nothing failed */
	int err; /* an errno, positive */
	char *why; /* NULL: memory was short */
};

/* Returns -err. `e` may be NULL: nobody asks why. No newline. */
int error_set(struct error_record *e, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * What the failure `err` (negative) is about goes before its sentence: "about: why". A record that
 * says nothing gets one. `e` may be NULL.
 */
void error_about(struct error_record *e, int err, const char *about);
/* The sentence, or what the C library says to `err` (of either sign) when nobody gave one. */
const char *error_why(const struct error_record *e, int err);
/* It says nothing again. */
void error_clear(struct error_record *e);

#endif
