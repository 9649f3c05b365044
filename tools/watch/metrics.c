/*
 * metrics.c - ubpfctl metrics: the mount's metrics, once or for who scrapes them by HTTP
 *
 * --listen answers GET /metrics with what the file says at that moment, with the caller's rights.
 * Nothing else is served. Without an address it listens on the loopback, since names of programs
 * and maps are in it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "util/types.h"

#define TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

static enum MHD_Result reply(struct MHD_Connection *c, unsigned int status, char *text,
			     const char *type)
{
	struct MHD_Response *r;
	enum MHD_Result ret;

	r = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	ret = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return ret;
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **state)
{
	enum MHD_Result ret;
	char *text;

	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return reply(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served\n", "text/plain");
	if (strcmp(url, "/metrics"))
		return reply(c, MHD_HTTP_NOT_FOUND, "the metrics are at /metrics\n", "text/plain");
	text = read_in_mount("metrics");
	if (!text)
		return reply(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the mount does not answer\n",
			     "text/plain");
	ret = reply(c, MHD_HTTP_OK, text, TYPE);
	free(text);
	return ret;
}

/* "9435", "127.0.0.1:9435", "[::1]:9435", "localhost:9435"; port 0: any. NULL: it was explained. */
static struct addrinfo *resolve(const char *where)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
	const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
	size_t len = colon ? (size_t)(colon - where) : 0;
	char host[256] = "127.0.0.1";
	int err;

	if (len >= 2 && where[0] == '[' && where[len - 1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, where + 1);
	else if (colon)
		snprintf(host, sizeof(host), "%.*s", (int)len, where);
	err = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (!err)
		return found;
	fprintf(stderr, "ubpfctl: %s: %s (write PORT, ADDRESS:PORT or [ADDRESS]:PORT)\n", where,
		gai_strerror(err));
	return NULL;
}

static int listen_at(const char *where)
{
	struct addrinfo *at = resolve(where);
	__do_close int fd = -1;
	int one = 1;

	if (!at)
		return -1;
	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, at->ai_addr, at->ai_addrlen) || listen(fd, 16)) {
		fprintf(stderr, "ubpfctl: %s: %s%s\n", where, strerror(errno),
			errno == EADDRINUSE ? " (another port is free: port 0 finds one)" : "");
		freeaddrinfo(at);
		return -1;
	}
	freeaddrinfo(at);
	return move_fd(fd);
}

static void say_where(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[64], port[16];

	if (!getsockname(fd, (struct sockaddr *)&addr, &len) &&
	    !getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
			 NI_NUMERICHOST | NI_NUMERICSERV))
		printf(strchr(host, ':') ? "http://[%s]:%s/metrics\n" : "http://%s:%s/metrics\n",
		       host, port);
	fflush(stdout);
}

/* Until SIGINT or SIGTERM: a mount that is gone may come back. */
static int serve(const char *where)
{
	struct MHD_Daemon *daemon;
	int fd, sig;
	sigset_t set;

	mount_point();
	fd = listen_at(where);
	if (fd < 0)
		return 1;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
				  answer, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_CONNECTION_LIMIT,
				  64u, MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "ubpfctl: %s: the HTTP server does not start: %s\n", where,
			strerror(errno));
		close(fd);
		return 1;
	}
	say_where(fd);
	sigwait(&set, &sig);
	MHD_stop_daemon(daemon);
	return 0;
}

int cmd_metrics(int argc, char **argv)
{
	char *text;

	if (argc == 3 && !strcmp(argv[1], "--listen"))
		return serve(argv[2]);
	if (argc != 1)
		return 2;
	text = read_in_mount("metrics");
	if (!text)
		return fail("metrics");
	fputs(text, stdout);
	free(text);
	return out_done();
}
