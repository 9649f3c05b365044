/*
 * output.h - what a subcommand prints as JSON (-j; -p: indented), in bpftool's field names
 *
 * Values are added one after another between out_begin() and out_end(); commas and, with -p, lines
 * are put by the printer. `name` is the member's, NULL in a list. What is printed goes out in
 * pieces, so that large maps need no memory.
 */
#ifndef UBPFFS_TOOLS_LIB_OUTPUT_H
#define UBPFFS_TOOLS_LIB_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

enum output_form { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_PRETTY };

/* As the options say; text unless out_form() was called. */
void out_form(enum output_form form);
bool out_json(void);

void out_begin(const char *name, char bracket); /* '{' or '[' */
void out_end(char bracket); /* '}' or ']'; after the outermost one a newline */
void out_u64(const char *name, unsigned long long value);
void out_s64(const char *name, long long value);
void out_double(const char *name, double value);
void out_bool(const char *name, bool value);
void out_str(const char *name, const char *value);
void out_bytes(const char *name, const void *data, size_t size); /* ["0x00",...] */
void out_raw(const char *name, const char *json); /* one whole JSON value */

/* A command that prints nothing has done it: null, as bpftool says, where JSON is wanted. */
void out_null(void);

/* Standard output is written. 0; 1 when that failed, and it was said: the exit status. */
int out_done(void);

#endif
