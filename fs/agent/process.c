/*
 * process.c - see process.h
 */
#include <stdio.h>
#include "fs/agent/process.h"

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

/* The 22nd field of stat; the second, a name of any bytes, ends at the last parenthesis. */
static bool read_began(pid_t pid, u64 *out)
{
	char text[1024], *p = NULL;
	FILE *f = open_proc(pid, "stat");

	if (f) {
		text[fread(text, 1, sizeof(text) - 1, f)] = 0;
		p = strrchr(text, ')');
	}
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		*out = strtoull(p, NULL, 10);
	if (f)
		fclose(f);
	return p;
}

static bool read_uids(pid_t pid, u32 *uid)
{
	FILE *f = open_proc(pid, "status");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "Uid: %u %u %u", &uid[0], &uid[1], &uid[2]) == 3;
	if (f)
		fclose(f);
	return found;
}

int process_facts_read(pid_t pid, struct process_facts *out)
{
	memset(out, 0, sizeof(*out));
	return read_began(pid, &out->began) && read_uids(pid, out->uid) ? 0 : -ESRCH;
}

void process_service(int sock, const void *arg, size_t len)
{
	struct process_facts facts;
	pid_t pid;
	int err = -EINVAL;

	if (len == sizeof(pid)) {
		memcpy(&pid, arg, sizeof(pid));
		err = process_facts_read(pid, &facts);
	}
	agent_report(sock, err, NULL);
	if (!err)
		agent_put(sock, &facts, sizeof(facts), -1);
}

int process_facts_ask(const struct agent_cred *cred, pid_t pid, int timeout,
		      struct process_facts *out)
{
	__do_close int sock = agent_spawn(cred, AGENT_PROCESS, &pid, sizeof(pid), NULL);
	int err = sock < 0 ? sock : agent_status(sock, -1, timeout, NULL);
	ssize_t len;

	if (err)
		return err;
	len = agent_recv(sock, out, sizeof(*out), NULL, -1, timeout);
	return len == sizeof(*out) ? 0 : len < 0 ? (int)len : -EIO;
}
