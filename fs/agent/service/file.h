/*
 * file.h - opening a file that a client names, in the client's own process
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_FILE_H
#define UBPFFS_FS_AGENT_SERVICE_FILE_H

#include <sys/types.h>
#include "text/error.h"
#include "util/types.h"

/*
 * agent_file_open - a regular file by its path from the root on
 *
 * AGENT_FILE_READ follows symbolic links; AGENT_FILE_WRITE opens for reading and writing, makes
 * what is not there, and takes no link for the file itself. Never: what a magic link of /proc leads
 * to, a file of the kernel's, one without a name (a memfd), one below the server's state directory.
 * Nothing but a regular file is ever opened, so nothing of a device or FIFO happens. A descriptor,
 * or -errno and a sentence in why.
 */
enum agent_file_how { AGENT_FILE_READ, AGENT_FILE_WRITE };
int agent_file_open(const char *path, enum agent_file_how how, struct error_record *why);

#endif
