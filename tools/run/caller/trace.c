/*
 * trace.c - bpf(2) calls as text
 */
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include "tools/run/caller/trace.h"

enum shown { DEC, HEX, STR };
struct field {
	const char *name;
	size_t at, size;
	enum shown shown;
};

#define F(field, how)                                                                              \
	{                                                                                          \
#field, offsetof(union bpf_attr, field), sizeof(((union bpf_attr *)0)->field), how \
	}

static const struct field create[] = {F(map_type, DEC),
				      F(key_size, DEC),
				      F(value_size, DEC),
				      F(max_entries, DEC),
				      F(map_flags, HEX),
				      F(map_name, STR),
				      {0}};
static const struct field element[] = {
	F(map_fd, DEC), F(key, HEX), F(value, HEX), F(flags, HEX), {0}};
static const struct field load[] = {F(prog_type, DEC),
				    F(insn_cnt, DEC),
				    F(log_level, DEC),
				    F(prog_flags, HEX),
				    F(prog_name, STR),
				    F(expected_attach_type, DEC),
				    {0}};
static const struct field pin[] = {F(pathname, HEX), F(bpf_fd, DEC), F(file_flags, HEX), {0}};
static const struct field test[] = {F(test.prog_fd, DEC),
				    F(test.retval, DEC),
				    F(test.data_size_in, DEC),
				    F(test.repeat, DEC),
				    {0}};
static const struct field id[] = {F(start_id, DEC), F(next_id, DEC), F(open_flags, HEX), {0}};
static const struct field info[] = {F(info.bpf_fd, DEC), F(info.info_len, DEC), {0}};
static const struct field btf[] = {F(btf_size, DEC), F(btf_log_level, DEC), {0}};
static const struct field attach[] = {
	F(target_fd, DEC), F(attach_bpf_fd, DEC), F(attach_type, DEC), F(attach_flags, HEX), {0}};
static const struct field query[] = {F(query.target_fd, DEC),
				     F(query.attach_type, DEC),
				     F(query.query_flags, HEX),
				     F(query.prog_cnt, DEC),
				     {0}};
static const struct field link_create[] = {F(link_create.prog_fd, DEC),
					   F(link_create.target_fd, DEC),
					   F(link_create.attach_type, DEC),
					   {0}};
static const struct field link_update[] = {F(link_update.link_fd, DEC),
					   F(link_update.new_prog_fd, DEC),
					   F(link_update.flags, HEX),
					   {0}};
static const struct field link_detach[] = {F(link_detach.link_fd, DEC), {0}};
static const struct field stats[] = {F(enable_stats.type, DEC), {0}};
static const struct field bind[] = {
	F(prog_bind_map.prog_fd, DEC), F(prog_bind_map.map_fd, DEC), {0}};
static const struct field task[] = {F(task_fd_query.pid, DEC), F(task_fd_query.fd, DEC), {0}};
static const struct field batch[] = {
	F(batch.map_fd, DEC), F(batch.count, DEC), F(batch.elem_flags, HEX), {0}};

#define C(cmd, fields) [BPF_##cmd] = {#cmd, fields}
static const struct {
	const char *name;
	const struct field *fields;
} commands[] = {
	C(MAP_CREATE, create),
	C(MAP_LOOKUP_ELEM, element),
	C(MAP_UPDATE_ELEM, element),
	C(MAP_DELETE_ELEM, element),
	C(MAP_GET_NEXT_KEY, element),
	C(PROG_LOAD, load),
	C(OBJ_PIN, pin),
	C(OBJ_GET, pin),
	C(PROG_ATTACH, attach),
	C(PROG_DETACH, attach),
	C(PROG_TEST_RUN, test),
	C(PROG_GET_NEXT_ID, id),
	C(MAP_GET_NEXT_ID, id),
	C(PROG_GET_FD_BY_ID, id),
	C(MAP_GET_FD_BY_ID, id),
	C(OBJ_GET_INFO_BY_FD, info),
	C(PROG_QUERY, query),
	C(RAW_TRACEPOINT_OPEN, NULL),
	C(BTF_LOAD, btf),
	C(BTF_GET_FD_BY_ID, id),
	C(TASK_FD_QUERY, task),
	C(MAP_LOOKUP_AND_DELETE_ELEM, element),
	C(MAP_FREEZE, element),
	C(BTF_GET_NEXT_ID, id),
	C(MAP_LOOKUP_BATCH, batch),
	C(MAP_LOOKUP_AND_DELETE_BATCH, batch),
	C(MAP_UPDATE_BATCH, batch),
	C(MAP_DELETE_BATCH, batch),
	C(LINK_CREATE, link_create),
	C(LINK_UPDATE, link_update),
	C(LINK_GET_FD_BY_ID, id),
	C(LINK_GET_NEXT_ID, id),
	C(ENABLE_STATS, stats),
	C(ITER_CREATE, NULL),
	C(LINK_DETACH, link_detach),
	C(PROG_BIND_MAP, bind),
};

static FILE *trace;

void run_trace_to(FILE *out)
{
	trace = out;
}

static int add(char *line, size_t size, size_t n, const char *fmt, ...)
{
	va_list args;
	int ret;

	if (n >= size)
		return n;
	va_start(args, fmt);
	ret = vsnprintf(line + n, size - n, fmt, args);
	va_end(args);
	return ret < 0 ? n : n + ret;
}

static size_t add_field(char *line, size_t size, size_t n, const struct field *f,
			const union bpf_attr *attr)
{
	const char *at = (const char *)attr + f->at;
	uint64_t value = 0;

	if (f->shown == STR) {
		char text[BPF_OBJ_NAME_LEN * 4 + 1], *p = text;

		for (size_t i = 0; i < f->size && at[i]; i++)
			if (at[i] >= ' ' && at[i] <= '~' && at[i] != '"' && at[i] != '\\')
				*p++ = at[i];
			else
				p += sprintf(p, "\\x%02x", (unsigned char)at[i]);
		*p = 0;
		return add(line, size, n, "%s=\"%s\"", f->name, text);
	}
	memcpy(&value, at, f->size);
	return add(line, size, n, f->shown == HEX ? "%s=%#llx" : "%s=%llu", f->name,
		   (unsigned long long)value);
}

/* One write a line, so that the lines of threads do not mix. */
void run_trace_bpf(pid_t tid, int cmd, const union bpf_attr *attr, uint32_t size, long ret)
{
	const struct field *f = NULL;
	char line[1024];
	size_t n;

	if (!trace)
		return;
	if (cmd >= 0 && (size_t)cmd < sizeof(commands) / sizeof(commands[0]) &&
	    commands[cmd].name) {
		n = add(line, sizeof(line), 0, "[pid %d] bpf(BPF_%s, {", tid, commands[cmd].name);
		f = commands[cmd].fields;
	} else {
		n = add(line, sizeof(line), 0, "[pid %d] bpf(%d, {", tid, cmd);
	}
	for (; f && f->name; f++) {
		n = add_field(line, sizeof(line), n, f, attr);
		if (f[1].name)
			n = add(line, sizeof(line), n, ", ");
	}
	if (ret < 0)
		n = add(line, sizeof(line), n, "}, %u) = -1 %s (%s)\n", size,
			strerrorname_np(-ret) ? strerrorname_np(-ret) : "errno", strerror(-ret));
	else
		n = add(line, sizeof(line), n, "}, %u) = %ld\n", size, ret);
	if (n > 0)
		fwrite(line, 1, n < sizeof(line) ? n : sizeof(line) - 1, trace);
	fflush(trace);
}
