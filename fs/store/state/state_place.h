/*
 * state_place.h - the default state directory, which survives a logout and a reboot
 */
#ifndef UBPFFS_FS_STORE_STATE_STATE_PLACE_H
#define UBPFFS_FS_STORE_STATE_STATE_PLACE_H

#include "text/error.h"

/*
 * /var/lib/ubpffs for root; $XDG_STATE_HOME/ubpffs or ~/.local/state/ubpffs for users, also those
 * that are root of a user namespace. /tmp/ubpffs-UID for who has no home that can be written. The
 * directories above it are made. A state in a place of earlier versions, which a logout or a reboot
 * empties, is moved there first, and that is said on stderr.
 *
 * 0 with a malloc()ed path, or -errno with a sentence. Before there are threads.
 */
int state_place(char **out, struct error_record *why);

#endif
