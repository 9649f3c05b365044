/*
 * perf_map.h - the file by which perf(1) and other profilers of this machine name programs
 */
#ifndef UBPFFS_FS_PERF_MAP_H
#define UBPFFS_FS_PERF_MAP_H

/*
 * Make /tmp/perf-PID.map of this process, and have the JIT write to it (jit/perf_map.h). In the
 * process that serves, before the sandbox and before a program is compiled. What another process
 * of this number left is removed; a file that is somebody else's is -EPERM. The file stays, since
 * a profile is read after its process has ended, as those of other JITs do. 0 or -errno.
 */
int perf_map_begin(void);

#endif
