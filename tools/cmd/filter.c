/*
 * filter.c - ubpfctl filter: an expression of tcpdump's language becomes a program
 *
 * libpcap compiles it for Ethernet, and progs/new gets the text that tcpdump -ddd would print, with
 * the name in its first line. With -d the text goes to standard output instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"

#define SNAPLEN 262144 /* tcpdump's: what a packet that matches returns */

/* The words of an expression need no quotes. */
static char *join(int argc, char **argv)
{
	size_t len = 1;
	char *text;
	int i;

	for (i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	text = calloc(1, len);
	for (i = 0; text && i < argc; i++) {
		strcat(text, argv[i]);
		if (i + 1 < argc)
			strcat(text, " ");
	}
	return text;
}

static char *print_program(const char *name, const struct bpf_program *program, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);
	unsigned int i;

	if (!f)
		return NULL;
	fprintf(f, "# %s\n%u\n", name, program->bf_len);
	for (i = 0; i < program->bf_len; i++) {
		const struct bpf_insn *insn = &program->bf_insns[i];

		fprintf(f, "%u %u %u %u\n", insn->code, insn->jt, insn->jf, insn->k);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static char *compile(const char *name, const char *expression, size_t *len)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, SNAPLEN);
	struct bpf_program program;
	char *text = NULL;

	if (!pcap)
		return NULL;
	if (pcap_compile(pcap, &program, expression, 1, PCAP_NETMASK_UNKNOWN)) {
		fprintf(stderr, "ubpfctl: '%s': %s (man pcap-filter has the language)\n",
			expression, pcap_geterr(pcap));
	} else {
		text = print_program(name, &program, len);
		pcap_freecode(&program);
	}
	pcap_close(pcap);
	return text;
}

static int load(const char *name, const char *text, size_t len)
{
	int fd = open_in_mount(O_WRONLY, "progs/new");
	size_t done = 0;
	ssize_t n;

	if (fd < 0)
		return fail("progs/new");
	while (done < len) {
		n = write(fd, text + done, len - done);
		if (n < 0) {
			close(fd);
			return fail(name);
		}
		done += n;
	}
	return close(fd) ? fail(name) : 0;
}

int cmd_filter(int argc, char **argv)
{
	char *expression, *text;
	int print = 0, ret, opt;
	size_t len;

	while ((opt = getopt(argc, argv, "+d")) != -1) {
		if (opt != 'd')
			return 2;
		print = 1;
	}
	if (argc - optind < 2)
		return 2;
	expression = join(argc - optind - 1, argv + optind + 1);
	text = expression ? compile(argv[optind], expression, &len) : NULL;
	free(expression);
	if (!text)
		return 1;
	ret = print ? fputs(text, stdout) < 0 : load(argv[optind], text, len);
	free(text);
	if (!ret && !print)
		out_null();
	return ret | out_done();
}
