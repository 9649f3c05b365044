/*
 * supervisor.h - who answers the command's trapped calls
 */
#ifndef UBPFFS_TOOLS_RUN_SUPERVISOR_H
#define UBPFFS_TOOLS_RUN_SUPERVISOR_H

/* Answer on the listener from threads of its own from now on. -errno: none could be made. */
int run_supervise(int listener);

#endif
