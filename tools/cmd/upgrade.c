/*
 * upgrade.c - ubpfctl upgrade: another program goes on with a mount
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "uapi/ubpffs.h"
#include "uapi/ubpffs_client.h"

static int say_server(void)
{
	char *status = read_in_mount("status"), *version = read_in_mount("version"), pid[32];
	int ret = status && version ? 0 : fail("status");

	info_value(status ? status : "", "pid", pid, sizeof(pid));
	if (!ret && out_json()) {
		out_begin(NULL, '{');
		out_str("mount", mount_point());
		out_u64("pid", strtoul(pid, NULL, 10));
		version[strcspn(version, "\n")] = 0;
		out_str("version", version);
		out_end('}');
	} else if (!ret) {
		printf("%s: process %s, version %s", mount_point(), pid, version);
	}
	free(status);
	free(version);
	return ret;
}

int cmd_upgrade(int argc, char **argv)
{
	struct ubpffs_io io = {0};
	char *path = NULL;
	int ctl, ret;

	if (argc > 3)
		return 2;
	if (argc > 1)
		name_mount(argv[1]);
	if (argc == 3 && !(path = realpath(argv[2], NULL))) {
		fprintf(stderr, "ubpfctl: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	ctl = open_in_mount(O_RDWR, "ctl");
	ret = ctl < 0 ? -1
		      : ubpfc_command(ctl, UBPFFS_UPGRADE, &io, path, path ? strlen(path) : 0,
				      NULL);
	free(path);
	return ret < 0 ? fail("upgrade") : say_server();
}
