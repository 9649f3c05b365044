/*
 * progress.c - see progress.h
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tools/lib/progress.h"
#include "util/clock.h"

#define BAR 30

static struct {
	const char *name;
	off_t size;
	uint64_t begun, shown;
	unsigned int calls;
} now;

void progress_begin(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	now.name = isatty(STDERR_FILENO) ? (slash ? slash + 1 : path) : NULL;
	now.size = !stat(path, &st) && S_ISREG(st.st_mode) ? st.st_size : 0;
	now.begun = monotonic_ms();
	now.shown = 0;
}

void progress_at(off_t done)
{
	uint64_t ms;
	int n;

	if (!now.name || !now.size || ++now.calls % 64)
		return;
	ms = monotonic_ms();
	if (ms - now.begun < 1000 || ms - now.shown < 100)
		return;
	now.shown = ms;
	done = done > now.size ? now.size : done;
	n = (int)(done * BAR / now.size);
	fprintf(stderr, "\r%.40s [%.*s%*s] %3d%%", now.name, n, "##############################",
		BAR - n, "", (int)(done * 100 / now.size));
}

void progress_end(void)
{
	if (now.name && now.shown)
		fprintf(stderr, "\r\033[K");
	now.name = NULL;
}
