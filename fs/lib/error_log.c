/*
 * error_log.c - M/log: each caller's last errors
 *
 * A ring of lines for each uid. Bounded twice: lines a uid, and uids (the one that failed longest ago is
 * forgotten first). One mutex; nothing is taken under it.
 */
#include "fs/tree/kinds.h"
#include "fs/fuse/node.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

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

int fs_error(struct fs_req *req, int err, const char *fmt, ...)
{
	char path[PATH_MAX] = "", *why = NULL, *line;
	const char *code = strerrorname_np(err);
	va_list args;

	if (req->quiet || req->logged)
		return -err;
	req->logged = true;
	va_start(args, fmt);
	if (vasprintf(&why, fmt, args) < 0)
		why = NULL;
	va_end(args);
	if (req->node)
		fs_node_path(req->node, req->name, path, sizeof(path));
	line = log_line(path, req->op ? req->op : "?", code ? code : "?",
			why ? why : strerror(err));
	free(why);
	if (line)
		log_add(req->cred.uid, line);
	return -err;
}

void fs_warn(const char *fmt, ...)
{
	char *why, *line;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&why, fmt, args) < 0)
		why = NULL;
	va_end(args);
	if (!why)
		return;
	fprintf(stderr, "ubpffs: %s\n", why);
	line = log_line("/", "server", "EIO", why);
	free(why);
	if (line)
		log_add(geteuid(), line);
}

static int log_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct log_user *user;

	pthread_mutex_lock(&logs.lock);
	user = __log_user(req->cred.uid, false);
	for (u32 i = 0; user && i < LOG_LINES; i++) {
		const char *line = user->line[(user->count + i) % LOG_LINES];

		if (line)
			fs_text_printf(out, "%s\n", line);
	}
	pthread_mutex_unlock(&logs.lock);
	return 0;
}

const struct fs_node_ops log_ops = {
	.name = "log",
	.type = S_IFREG,
	.show = log_show,
};
