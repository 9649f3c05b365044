/*
 * error_log.c - see error_log.h
 */
#include "fs/lib/error_log.h"
#include "util/types.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINES 64
#define LOG_USERS 256

struct log_user {
	uid_t uid;
	u64 used; /* when the last line was written, for forgetting */
	u64 count;
	char *line[LOG_LINES];
};

static struct {
	pthread_mutex_t lock;
	struct log_user *users[LOG_USERS];
	u64 clock;
} logs = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct log_user *__log_user(uid_t uid, bool make)
{
	struct log_user **oldest = &logs.users[0];

	for (u32 i = 0; i < LOG_USERS; i++) {
		struct log_user **user = &logs.users[i];

		if (*user && (*user)->uid == uid)
			return *user;
		if (*oldest && (!*user || (*user)->used < (*oldest)->used))
			oldest = user;
	}
	if (!make)
		return NULL;
	if (*oldest) {
		for (u32 i = 0; i < LOG_LINES; i++)
			free((*oldest)->line[i]);
		memset(*oldest, 0, sizeof(**oldest));
	} else {
		*oldest = calloc(1, sizeof(**oldest));
	}
	if (*oldest)
		(*oldest)->uid = uid;
	return *oldest;
}

static void log_add(uid_t uid, char *line)
{
	struct log_user *user;

	pthread_mutex_lock(&logs.lock);
	user = __log_user(uid, true);
	if (user) {
		char **slot = &user->line[user->count++ % LOG_LINES];

		free(*slot);
		*slot = line;
		line = NULL;
		user->used = ++logs.clock;
	}
	pthread_mutex_unlock(&logs.lock);
	free(line);
}

/* One line of text whatever a name or a sentence holds. */
static void one_line(char *text)
{
	size_t len = strlen(text);

	while (len && text[len - 1] == '\n')
		text[--len] = 0;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = ' ';
}

static char *log_line(const char *path, const char *op, const char *code, const char *why)
{
	struct timespec now;
	char when[40], *line;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	if (asprintf(&line, "%s.%03ld %s: %s: %s: %s", when, now.tv_nsec / 1000000, path, op, code,
		     why) < 0)
		return NULL;
	one_line(line);
	return line;
}

void error_log_add(uid_t uid, const char *path, const char *op, int err, const char *why)
{
	const char *code = strerrorname_np(err);
	char *line = log_line(path, op, code ? code : "?", why);

	if (line)
		log_add(uid, line);
}

void fs_warn(const char *fmt, ...)
{
	char *why;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&why, fmt, args) < 0)
		why = NULL;
	va_end(args);
	if (!why)
		return;
	fprintf(stderr, "ubpffs: %s\n", why);
	error_log_add(geteuid(), "/", "server", EIO, why);
	free(why);
}

void error_log_print(uid_t uid, struct fs_text *out)
{
	const struct log_user *user;

	pthread_mutex_lock(&logs.lock);
	user = __log_user(uid, false);
	for (u32 i = 0; user && i < LOG_LINES; i++) {
		const char *line = user->line[(user->count + i) % LOG_LINES];

		if (line)
			fs_text_printf(out, "%s\n", line);
	}
	pthread_mutex_unlock(&logs.lock);
}
