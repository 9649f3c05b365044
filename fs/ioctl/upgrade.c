/*
 * upgrade.c - see upgrade.h
 *
 * The keeper does it (keeper/upgrade.h). Who asked is answered by this server when the program was
 * refused, and else by the next one, to which the kernel sends the call again: each looks first
 * whether there is a result for it.
 */
#include "fs/ioctl/upgrade.h"
#include "fs/keeper/keeper.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/keeper/upgrade.h"

#include <limits.h>
#include <unistd.h>

#define LOOK_US 5000

static int may_upgrade(const struct control_call *call)
{
	uid_t uid = call->req->cred.uid;

	if (uid && uid != geteuid())
		return fs_error(call->req, EPERM,
				"a server is replaced by root and by who runs it");
	if (!shared)
		return fs_error(call->req, EOPNOTSUPP,
				"this server has no keeper, which would go on with the mount: "
				"it was started with -o keeper=off");
	return 0;
}

static int path_of(const struct control_call *call, char path[PATH_MAX])
{
	if (call->in_len >= PATH_MAX)
		return -ENAMETOOLONG;
	if (call->in_len)
		memcpy(path, call->in, call->in_len);
	path[call->in_len] = 0;
	return 0;
}

static int told(const struct control_call *call, const struct upgrade_result *result)
{
	return result->err ? fs_error(call->req, -result->err, "%s", result->why) : 0;
}

int control_upgrade(struct control_call *call)
{
	u64 by = call->req->unique & ~REQUEST_AGAIN;
	const struct upgrade_result *result;
	char path[PATH_MAX];
	int err = may_upgrade(call);

	if (err)
		return err;
	result = upgrade_result(by);
	if (result)
		return told(call, result);
	err = path_of(call, path);
	if (!err)
		err = keeper_ask_upgrade(by, path);
	while (!err && !(result = upgrade_result(by))) {
		usleep(LOOK_US);
		if (fs_cancelled(call->req))
			err = -EINTR;
	}
	return err ? err : told(call, result);
}
