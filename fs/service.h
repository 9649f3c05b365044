/*
 * service.h - what the service manager that started the server is told (sd_notify(3)'s protocol)
 *
 * $NOTIFY_SOCKET names a datagram socket. READY=1 goes there when the mount answers; after that
 * WATCHDOG=1 each half of $WATCHDOG_USEC, as long as a statfs(2) of the mount returns: a server
 * that does not answer its clients is silent, and is started again. Without the variable nothing
 * is done.
 */
#ifndef UBPFFS_FS_SERVICE_H
#define UBPFFS_FS_SERVICE_H

/*
 * Makes the process that looks at the mount and tells; before there are threads or descriptors
 * that others should not have. It ends when the last process that was forked after it has ended.
 * 0 or -errno.
 */
int service_start(const char *mountpoint);
/* The mount is there. */
void service_mounted(void);

#endif
