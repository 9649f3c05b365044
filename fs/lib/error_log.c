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

#define LOG_BYTES (64u << 10) /* some 500 lines */
#define LOG_USERS 256

struct log_user {
	uid_t uid;
	u64 used; /* when the last line was written, for forgetting */
	char *text;
	size_t len, room;
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
		free((*oldest)->text);
		memset(*oldest, 0, sizeof(**oldest));
	} else {
		*oldest = calloc(1, sizeof(**oldest));
	}
	if (*oldest)
		(*oldest)->uid = uid;
	return *oldest;
}

/* Whole lines go, until half of the bytes are free. */
static void __log_halve(struct log_user *user)
{
	const char *from = user->text + user->len - min(user->len, (size_t)LOG_BYTES / 2);

	from = memchr(from, '\n', user->text + user->len - from);
	from = from ? from + 1 : user->text + user->len;
	user->len -= from - user->text;
	memmove(user->text, from, user->len);
}

static bool __log_room(struct log_user *user, size_t len)
{
	size_t room = user->room ? user->room : 1024;
	char *text;

	if (user->len + len > LOG_BYTES)
		__log_halve(user);
	while (room < user->len + len)
		room *= 2;
	if (room == user->room)
		return true;
	text = realloc(user->text, room);
	if (!text)
		return false;
	user->text = text;
	user->room = room;
	return true;
}

/* A line with its newline. */
static void log_add(uid_t uid, const char *line, size_t len)
{
	struct log_user *user;

	pthread_mutex_lock(&logs.lock);
	user = __log_user(uid, true);
	if (user && __log_room(user, len)) {
		memcpy(user->text + user->len, line, len);
		user->len += len;
		user->used = ++logs.clock;
	}
	pthread_mutex_unlock(&logs.lock);
}

/* One line of text whatever a name or a sentence holds; how long it is with its newline. */
static size_t one_line(char *text)
{
	size_t len = min(strlen(text), (size_t)LOG_BYTES / 4 - 1);

	while (len && text[len - 1] == '\n')
		len--;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			text[i] = ' ';
	text[len] = '\n';
	return len + 1;
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
	return line;
}

void error_log_add(uid_t uid, const char *path, const char *op, int err, const char *why)
{
	const char *code = strerrorname_np(err);
	char *line = log_line(path, op, code ? code : "?", why);

	if (line)
		log_add(uid, line, one_line(line));
	free(line);
}

void (*fs_warned)(const char *why);

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
	if (fs_warned) {
		fs_warned(why);
	} else {
		fprintf(stderr, "ubpffs: %s\n", why);
		error_log_add(geteuid(), "/", "server", EIO, why);
	}
	free(why);
}

void error_log_print(uid_t uid, struct fs_text *out)
{
	const struct log_user *user;

	pthread_mutex_lock(&logs.lock);
	user = __log_user(uid, false);
	if (user && user->len)
		fs_text_append(out, user->text, user->len);
	pthread_mutex_unlock(&logs.lock);
}
