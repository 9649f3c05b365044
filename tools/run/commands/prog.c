/*
 * prog.c - bpf(2)'s commands on programs: loads, test runs
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tools/run/commands/btf.h"
#include "tools/run/commands/object.h"
#include "tools/run/commands/prog.h"

#define MAX_MAPS  64
#define MAX_INSNS 1000000u

/* The maps of a load: a token for each descriptor, under the index by which instructions say it. */
struct load_maps {
	uint64_t tokens[MAX_MAPS];
	int fds[MAX_MAPS], ours[MAX_MAPS]; /* a token lives as long as its open file */
	uint32_t nr;
};

static int add_map(struct caller *c, int fd, struct load_maps *maps, uint32_t *index)
{
	struct ubpffs_io io = {.out_len = sizeof(uint64_t)};
	struct object obj;
	int err;

	for (*index = 0; *index < maps->nr; ++*index)
		if (maps->fds[*index] == fd)
			return 0;
	if (maps->nr == MAX_MAPS)
		return -E2BIG;
	err = object_of_fd(c, fd, UBPFFS_MAP, &obj);
	if (!err)
		err = mount_command(obj.fd, UBPFFS_OBJ_TOKEN, &io, NULL, 0,
				    &maps->tokens[maps->nr]);
	if (err) {
		object_end(&obj);
		return err;
	}
	maps->fds[maps->nr] = fd;
	maps->ours[maps->nr++] = obj.fd;
	return 0;
}

static int fd_of_array(struct bpf_call *call, uint32_t index, int *fd)
{
	return caller_read(call->c, call->attr.fd_array + (uint64_t)index * sizeof(*fd), fd,
			   sizeof(*fd));
}

/* With fd_array_cnt all of fd_array is the program's: maps, and types, which it does not keep. */
static int bind_array(struct bpf_call *call, struct load_maps *maps)
{
	uint32_t i, index, cnt = bpf_call_u32(call, FD_ARRAY_CNT);
	struct object obj;
	int fd, err = 0;

	for (i = 0; !err && i < cnt; i++) {
		err = fd_of_array(call, i, &fd);
		if (err)
			break;
		err = object_of_fd(call->c, fd, 0, &obj);
		if (!err && obj.kind != UBPFFS_MAP && obj.kind != UBPFFS_BTF)
			err = -EINVAL;
		object_end(&obj);
		if (!err && obj.kind == UBPFFS_MAP)
			err = add_map(call->c, fd, maps, &index);
	}
	return err;
}

/* Descriptors in instructions, and in fd_array, become indices. */
static int name_maps(struct bpf_call *call, struct bpf_insn *insns, struct load_maps *maps)
{
	uint32_t i, index, cnt = call->attr.insn_cnt;
	int fd, err = bind_array(call, maps);

	if (err)
		return err;

	for (i = 0; i + 1 < cnt; i++) {
		struct bpf_insn *insn = &insns[i];
		bool value, by_index;

		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		i++;
		value = insn->src_reg == BPF_PSEUDO_MAP_VALUE ||
			insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
		by_index = insn->src_reg == BPF_PSEUDO_MAP_IDX ||
			   insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
		if (!value && !by_index && insn->src_reg != BPF_PSEUDO_MAP_FD)
			continue;
		fd = insn->imm;
		if (by_index) {
			if (!call->attr.fd_array)
				return -EPROTO; /* as the kernel: "fd_idx without fd_array" */
			err = fd_of_array(call, insn->imm, &fd);
			if (err)
				return err;
		}
		err = add_map(call->c, fd, maps, &index);
		if (err)
			return err;
		insn->src_reg = value ? BPF_PSEUDO_MAP_IDX_VALUE : BPF_PSEUDO_MAP_IDX;
		insn->imm = index;
	}
	return 0;
}

/* Types, and what they say of functions and lines: whole records of the size that we know. */
struct load_types {
	struct ubpffs_load_btf cnt;
	void *funcs, *lines;
};

#define MAX_REC 252 /* bytes, as the kernel */

/*
 * Records of `rec_size` bytes, of which what we do not know must be zero; *out gets `size` of each.
 */
static int read_records(struct bpf_call *call, uint64_t addr, uint32_t cnt, uint32_t rec_size,
			size_t size, void **out)
{
	char *recs, *to, *from;
	void *buf;
	int err;

	if (!cnt)
		return 0;
	if (rec_size < size || rec_size > MAX_REC || rec_size % sizeof(uint32_t) || cnt > MAX_INSNS)
		return -EINVAL;
	err = caller_copy(call->c, addr, (size_t)cnt * rec_size, SIZE_MAX, &buf);
	if (err)
		return err;
	to = from = recs = buf;
	for (uint32_t i = 0; i < cnt; i++, to += size, from += rec_size) {
		for (uint32_t k = size; k < rec_size; k++)
			if (from[k])
				err = -E2BIG;
		memmove(to, from, size);
	}
	*out = recs;
	return err;
}

static int read_types(struct bpf_call *call, struct ubpffs_prog_load *load,
		      struct load_types *types)
{
	const union bpf_attr *attr = &call->attr;
	int err;

	if (!attr->func_info_cnt && !attr->line_info_cnt)
		return 0; /* then the kernel does not look at the descriptor either */
	err = run_btf_id(call->c, attr->prog_btf_fd, &load->btf_id);
	if (!err)
		err = read_records(call, attr->func_info, attr->func_info_cnt,
				   attr->func_info_rec_size, sizeof(struct bpf_func_info),
				   &types->funcs);
	if (!err)
		err = read_records(call, attr->line_info, attr->line_info_cnt,
				   attr->line_info_rec_size, sizeof(struct bpf_line_info),
				   &types->lines);
	types->cnt.func_info_cnt = attr->func_info_cnt;
	types->cnt.line_info_cnt = attr->line_info_cnt;
	return err;
}

/*
 * Who asks which helpers there are looks in the log for how older kernels said that there is none
 * (libbpf before 1.4), and takes all for there where it finds only the words of now.
 */
static size_t older_words(const char *log, char *out, size_t size)
{
	static const char not_here[] = "program of this type cannot use helper ";
	static const char missing[] = " is not supported by this build";
	const char *at = strstr(log, not_here), *end = strstr(log, missing);

	if (at) {
		at += sizeof(not_here) - 1;
		end = strchrnul(at, '\n');
	} else if (end) {
		at = memrchr(log, ' ', end - log);
		at = at ? at + 1 : NULL;
	}
	return at ? snprintf(out, size, "unknown func %.*s\n", (int)(end - at), at) : 0;
}

static int put_log(struct bpf_call *call, const struct ubpffs_load_result *result, const char *log)
{
	uint32_t room = call->attr.log_size, true_size = result->log_true_size;
	char more[128];
	size_t n;
	int err = 0;

	if (!(call->attr.log_level))
		return 0;
	if (room && result->log_size) {
		err = caller_write(call->c, call->attr.log_buf, log, result->log_size);
		n = older_words(log, more, sizeof(more));
		if (!err && n < sizeof(more) && n && true_size + n <= room) {
			err = caller_write(call->c, call->attr.log_buf + true_size - 1, more,
					   n + 1);
			true_size += n;
		}
	}
	if (!err && call->size >= LOG_TRUE_END)
		err = caller_write(call->c, call->uattr + LOG_TRUE_END - sizeof(uint32_t),
				   &true_size, sizeof(true_size));
	return err ? err : room && true_size > room ? -ENOSPC : 0;
}

/* Everything in one piece, as UBPFFS_PROG_LOAD takes it. */
static char *pack(const struct ubpffs_prog_load *load, const struct bpf_insn *insns,
		  const struct load_maps *maps, const char *license, const struct load_types *types,
		  size_t *len)
{
	const struct {
		const void *data;
		size_t len;
	} pieces[] = {
		{load, sizeof(*load)},
		{insns, load->insn_cnt * sizeof(*insns)},
		{maps->tokens, maps->nr * sizeof(uint64_t)},
		{license, load->license_len},
		{&types->cnt, load->btf_id ? sizeof(types->cnt) : 0},
		{types->funcs, types->cnt.func_info_cnt * sizeof(struct bpf_func_info)},
		{types->lines, types->cnt.line_info_cnt * sizeof(struct bpf_line_info)},
	};
	char *buf, *at;
	size_t i;

	for (i = 0, *len = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		*len += pieces[i].len;
	at = buf = malloc(*len);
	for (i = 0; buf && i < sizeof(pieces) / sizeof(pieces[0]); i++)
		at = pieces[i].len ? mempcpy(at, pieces[i].data, pieces[i].len) : at;
	return buf;
}

static long load(struct bpf_call *call, const struct ubpffs_prog_load *args,
		 const struct bpf_insn *insns, const struct load_maps *maps, const char *license,
		 const struct load_types *types)
{
	struct ubpffs_io io = {.out_len = sizeof(struct ubpffs_load_result)};
	struct ubpffs_load_result *result;
	size_t len;
	char *in = pack(args, insns, maps, license, types, &len);
	int ctl = -1, err;
	long ret;

	if (args->log_level)
		io.out_len += call->attr.log_size < UBPFFS_XFER_MAX / 2 ? call->attr.log_size
									: UBPFFS_XFER_MAX / 2;
	result = calloc(1, io.out_len);
	if (!in || !result) {
		ret = -ENOMEM;
		goto out;
	}
	ret = ctl = mount_open("ctl", O_RDWR);
	if (ctl < 0)
		goto out;
	ret = mount_command(ctl, UBPFFS_PROG_LOAD, &io, in, len, result);
	if (io.out_len >= sizeof(*result) && result->log_size <= io.out_len - sizeof(*result)) {
		err = put_log(call, result, (char *)(result + 1));
		ret = err ? err : ret;
	}
	if (ret == -EOPNOTSUPP)
		ret = -EINVAL; /* a kernel that lacks it */
	if (!ret)
		ret = give_object(call->c, "prog", result->id, O_RDWR);
out:
	if (ctl >= 0)
		close(ctl);
	free(in);
	free(result);
	return ret;
}

long run_prog_load(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct ubpffs_prog_load args = {.prog_type = attr->prog_type,
					.expected_attach_type = attr->expected_attach_type,
					.insn_cnt = attr->insn_cnt,
					.log_level = attr->log_level,
					.prog_flags = attr->prog_flags};
	struct load_maps maps = {.nr = 0};
	struct load_types types = {{0}};
	void *insns = NULL;
	char license[128];
	uint32_t i;
	long ret;

	if (!run_log_ok(attr->log_level, attr->log_buf, attr->log_size))
		return -EINVAL;
	/* Programs that attach to the kernel's own, and relocations to its types, need it. */
	if (attr->attach_btf_id || attr->attach_prog_fd || attr->prog_ifindex ||
	    attr->core_relo_cnt)
		return -EINVAL;
	ret = caller_string(call->c, attr->license, license, sizeof(license));
	if (ret < 0)
		return ret == -ENAMETOOLONG ? -EINVAL : ret;
	args.license_len = ret + 1;
	if (!attr->insn_cnt || attr->insn_cnt > MAX_INSNS)
		return -E2BIG;
	memcpy(args.prog_name, attr->prog_name, sizeof(args.prog_name));
	ret = caller_copy(call->c, attr->insns, (size_t)attr->insn_cnt * sizeof(struct bpf_insn),
			  (size_t)MAX_INSNS * sizeof(struct bpf_insn), &insns);
	if (!ret)
		ret = name_maps(call, insns, &maps);
	args.map_cnt = maps.nr;
	if (!ret)
		ret = read_types(call, &args, &types);
	if (!ret)
		ret = load(call, &args, insns, &maps, license, &types);
	free(types.funcs);
	free(types.lines);
	for (i = 0; i < maps.nr; i++)
		close(maps.ours[i]);
	free(insns);
	return ret;
}

/* ---- what is about programs that are loaded */

long run_prog_bind_map(struct bpf_call *call)
{
	struct ubpffs_io get = {.out_len = sizeof(uint64_t)}, bind = {0};
	struct object prog, map = {.fd = -1};
	uint64_t token = 0;
	long err;

	if (call->attr.prog_bind_map.flags)
		return -EINVAL;
	err = object_of_fd(call->c, call->attr.prog_bind_map.prog_fd, UBPFFS_PROG, &prog);
	if (!err)
		err = object_of_fd(call->c, call->attr.prog_bind_map.map_fd, UBPFFS_MAP, &map);
	if (!err)
		err = mount_command(map.fd, UBPFFS_OBJ_TOKEN, &get, NULL, 0, &token);
	if (!err)
		err = mount_command(prog.fd, UBPFFS_PROG_BIND_MAP, &bind, &token, sizeof(token),
				    NULL);
	object_end(&prog);
	object_end(&map);
	return err;
}

/* Runs are always counted, as with the kernel's bpf_stats_enabled: the descriptor keeps nothing. */
long run_enable_stats(struct bpf_call *call)
{
	int fd;
	long ret;

	if (call->attr.enable_stats.type != BPF_STATS_RUN_TIME)
		return -EINVAL;
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = caller_give(call->c, fd, true);
	close(fd);
	return ret;
}

/* ---- test runs */

static int put_run(struct bpf_call *call, const struct ubpffs_prog_run *run, const char *out,
		   uint32_t data_room, uint32_t ctx_room)
{
	uint32_t data = run->data_size_out < data_room ? run->data_size_out : data_room;
	uint32_t ctx = run->ctx_size_out < ctx_room ? run->ctx_size_out : ctx_room;
	int err = 0;

	if (call->attr.test.data_out)
		err = caller_write(call->c, call->attr.test.data_out, out, data);
	if (!err && call->attr.test.ctx_out)
		err = caller_write(call->c, call->attr.test.ctx_out, out + data, ctx);
	call->attr.test.data_size_out = run->data_size_out;
	call->attr.test.ctx_size_out = run->ctx_size_out;
	call->attr.test.retval = run->retval;
	call->attr.test.duration = run->duration;
	if (!err)
		err = BPF_PUT(call, test.retval);
	if (!err)
		err = BPF_PUT(call, test.data_size_out);
	if (!err)
		err = BPF_PUT(call, test.duration);
	if (!err && call->attr.test.ctx_out)
		err = BPF_PUT(call, test.ctx_size_out);
	return err;
}

#define MAX_RUN (1u << 24)

long run_prog_test_run(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct ubpffs_prog_run run = {.data_size_in = attr->test.data_size_in,
				      .ctx_size_in = attr->test.ctx_size_in,
				      .repeat = attr->test.repeat,
				      .flags = attr->test.flags};
	struct ubpffs_io io = {0};
	char *in = NULL, *out = NULL;
	struct object prog = {.fd = -1};
	size_t len;
	long err;
	int put;

	if (attr->test.cpu || attr->test.batch_size)
		return -EINVAL;
	if ((attr->test.ctx_size_in && !attr->test.ctx_in) ||
	    (!attr->test.ctx_size_in && attr->test.ctx_in) ||
	    (attr->test.ctx_size_out && !attr->test.ctx_out) ||
	    (!attr->test.ctx_size_out && attr->test.ctx_out))
		return -EINVAL;
	if (run.data_size_in > MAX_RUN || run.ctx_size_in > MAX_RUN)
		return -EINVAL;
	/* Without a size said: never more than came in, so that no buffer overflows. */
	run.data_size_out = !attr->test.data_out       ? 0
			    : attr->test.data_size_out ? attr->test.data_size_out
						       : run.data_size_in;
	if (run.data_size_out > MAX_RUN / 2)
		run.data_size_out = MAX_RUN / 2;
	run.ctx_size_out = attr->test.ctx_size_out < 4096 ? attr->test.ctx_size_out : 4096;
	io.out_len = sizeof(run) + run.data_size_out + run.ctx_size_out;
	len = sizeof(run) + run.data_size_in + run.ctx_size_in;
	in = malloc(len);
	out = calloc(1, io.out_len);
	err = in && out ? object_of_fd(call->c, attr->test.prog_fd, UBPFFS_PROG, &prog) : -ENOMEM;
	if (!err)
		err = caller_read(call->c, attr->test.data_in, in + sizeof(run), run.data_size_in);
	if (!err)
		err = caller_read(call->c, attr->test.ctx_in, in + sizeof(run) + run.data_size_in,
				  run.ctx_size_in);
	if (!err) {
		uint32_t data_room = run.data_size_out, ctx_room = run.ctx_size_out;

		memcpy(in, &run, sizeof(run));
		err = mount_command(prog.fd, UBPFFS_PROG_TEST_RUN, &io, in, len, out);
		if (io.out_len >= sizeof(run) && (!err || err == -ENOSPC)) {
			memcpy(&run, out, sizeof(run));
			put = put_run(call, &run, out + sizeof(run), data_room, ctx_room);
			err = put ? put : err;
		}
	}
	object_end(&prog);
	free(in);
	free(out);
	return err;
}
