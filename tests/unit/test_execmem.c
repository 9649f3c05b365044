/*
 * test_execmem.c - the memory that native code lives in: guarantees A to F of jit/execmem.c
 */
#include "tests/lib/jitprog.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "jit/ir/arch.h"
#include "jit/execmem.h"

/* Guarantee A: nothing that is mapped is writable and executable, and code is not writable. */
static void check_maps(const void *code)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], perms[5];
	u64 start, end;
	bool found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		assert_int_equal(sscanf(line, "%lx-%lx %4s", &start, &end, perms), 3);
		assert_false(perms[1] == 'w' && perms[2] == 'x');
		if ((u64)code >= start && (u64)code < end) {
			found = true;
			assert_string_equal(perms, "r-xs");
		}
		if (strstr(line, "bpf-jit"))
			assert_int_equal(perms[1], '-');
	}
	fclose(f);
	assert_true(found);
}

static const struct bpf_insn return_5[] = {BPF_MOV64_IMM(0, 5), BPF_EXIT_INSN()};

static u64 helper_maps(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	struct bpf_prog *other = jitprog_compile1(return_5, 2);

	check_maps(__builtin_return_address(0));
	jitprog_free(other);
	check_maps(__builtin_return_address(0));
	return 9;
}

static void execmem_w_xor_x(void **state)
{
	/* also while a program runs and others come and go on its page */
	const struct bpf_insn p[] = {CALL_C(helper_maps), BPF_EXIT_INSN()};
	struct bpf_prog *prog = jitprog_compile1(p, 2);
	u32 len;

	check_maps(bpf_jit_code(prog, &len));
	assert_int_equal(bpf_prog_run(prog, NULL), 9);
	jitprog_free(prog);
}

static void execmem_near_text(void **state)
{
	const struct bpf_insn p[] = {CALL_C(jitprog_helper), BPF_EXIT_INSN()};
	struct bpf_prog *prog = jitprog_compile1(p, 2);
	s64 d = (s64)((u64)prog->bpf_func - (u64)jitprog_helper);
	u32 len;
	const u8 *code = bpf_jit_code(prog, &len);
	bool near = false;

	assert_true(d == (s32)d);
	for (u32 i = 0; i + 5 <= len; i++) {
		s32 rel;

#ifdef __aarch64__
		memcpy(&rel, code + i, 4);
		near |= (u32)rel >> 26 == 0x25 &&
			(u64)(code + i) + (s64)(rel << 6 >> 4) == (u64)jitprog_helper;
#else
		memcpy(&rel, code + i + 1, 4);
		near |= code[i] == 0xe8 && (u64)(code + i + 5) + rel == (u64)jitprog_helper;
#endif
	}
	assert_true(near);
	jitprog_free(prog);
}

/* Freed code is traps, and its room is used again. */
static void execmem_reuse(void **state)
{
	struct bpf_prog *a = jitprog_compile1(return_5, 2), *b = jitprog_compile1(return_5, 2),
			*again;
	const u8 *code = (const u8 *)a->bpf_func;
	bpf_prog_fn fn = a->bpf_func;

	jitprog_free(a);
	assert_int_equal(code[0], 0xcc);
	assert_int_equal(bpf_prog_run(b, NULL), 5);
	again = jitprog_compile1(return_5, 2);
	assert_ptr_equal(again->bpf_func, fn);
	jitprog_free(again);
	jitprog_free(b);
}

static void execmem_find(void **state)
{
	struct bpf_prog *a = jitprog_compile1(return_5, 2), *b = jitprog_compile1(return_5, 2);
	u32 len;
	const u8 *code = bpf_jit_code(a, &len);

	assert_int_equal(len, a->jited_len);
	assert_ptr_equal(bpf_jit_find(code), a);
	assert_ptr_equal(bpf_jit_find(code + len - 1), a);
	assert_ptr_equal(bpf_jit_find((const void *)b->bpf_func), b);
	assert_null(bpf_jit_find((const void *)execmem_find));
	assert_null(bpf_jit_find(NULL));
	jitprog_free(a);
	assert_null(bpf_jit_find(code));
	jitprog_free(b);
}

/* Guarantee E: after fork() neither side changes what the other runs. */
static void execmem_fork(void **state)
{
	struct bpf_prog *before = jitprog_compile1(return_5, 2), *after;
	const u8 *code = (const u8 *)before->bpf_func;
	int status;
	pid_t pid = fork();

	if (!pid) {
		const struct bpf_insn p[] = {BPF_MOV64_IMM(0, 6), BPF_EXIT_INSN()};

		bpf_jit_free(before);
		after = jitprog_compile1(p, 2);
		_exit(bpf_prog_run(after, NULL) != 6 ||
		      bpf_jit_find((void *)after->bpf_func) != after);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(bpf_prog_run(before, NULL), 5);
	after = jitprog_compile1(return_5, 2);
	assert_int_equal(bpf_prog_run(after, NULL), 5);
	assert_int_equal(bpf_prog_run(before, NULL), 5);
	jitprog_free(before);
	assert_int_not_equal(code[0], 0xcc); /* the child could still run it */
	jitprog_free(after);
}

/* Larger than a pack. */
static void execmem_large(void **state)
{
	u32 cnt = 900000;
	struct bpf_insn *p = malloc(cnt * sizeof(*p));
	struct bpf_prog *prog;

	for (u32 i = 0; i < cnt; i++)
		p[i] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 3);
	p[0] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
	p[cnt - 1] = (struct bpf_insn)BPF_EXIT_INSN();
	prog = jitprog_compile1(p, cnt);
	assert_int_equal(bpf_prog_run(prog, NULL), (cnt - 2) * 3);
	assert_ptr_equal(bpf_jit_find((u8 *)prog->bpf_func + prog->jited_len - 1), prog);
	jitprog_free(prog);
	free(p);
}

/* Code that no near place was free for: helpers are called through a register. */
static void execmem_far(void **state)
{
	const struct bpf_insn p[] = {BPF_MOV64_IMM(1, 7), BPF_MOV64_IMM(2, 0),
				     BPF_MOV64_IMM(3, 0), BPF_MOV64_IMM(4, 0),
				     BPF_MOV64_IMM(5, 1), CALL_C(jitprog_helper),
				     BPF_EXIT_INSN()};
	struct bpf_prog *prog = jitprog_new1(p, ARRAY_SIZE(p));
	const struct jit_arch *arch = jit_arch();
	u32 offs[ARRAY_SIZE(p) + 1], size;
	struct jit_code *code;
	struct execmem mem;
	struct jit_ir ir;
	u8 buf[256];
	s64 d;

	jitprog_need_jit();
	assert_int_equal(jit_ir_build(prog, &ir), 0);
	assert_int_equal(arch->emit(&ir, true, &code), 0);
	size = arch->size(code);
	assert_true(size <= sizeof(buf));
	assert_int_equal(execmem_alloc(size, false, &mem), 0);
	d = (s64)((u64)mem.addr - (u64)jitprog_helper);
	if (JITPROG_X86)
		assert_true(d != (s32)d); /* it is far indeed */
	assert_int_equal(arch->link(code, (u64)mem.addr, buf, offs), 0);
	assert_int_equal(execmem_write(&mem, buf, size), 0);
	assert_int_equal(((bpf_prog_fn)mem.addr)(NULL, prog), 10007);
	execmem_free(&mem);
	/* the near form would not have reached */
	arch->free(code);
	assert_int_equal(arch->emit(&ir, false, &code), 0);
	assert_int_equal(arch->link(code, (u64)jitprog_helper + (1LL << 40), buf, offs), -ERANGE);
	arch->free(code);
	jit_ir_free(&ir);
	jitprog_free(prog);
}

/* From here on this process may not make memfds. */
static int forbid_memfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_memfd_create, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog fprog = {ARRAY_SIZE(code), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog);
}

static int run_without_memfd(void)
{
	const struct bpf_insn p[] = {BPF_MOV64_IMM(0, 6), BPF_EXIT_INSN()};
	struct bpf_prog *a = jitprog_new1(p, 2), *b = jitprog_new1(return_5, 2);
	char line[512], perms[5];
	u64 start, end;
	int seen = 0;
	FILE *f;

	if (forbid_memfd())
		return 77;
	if (bpf_jit_compile(a) || bpf_jit_compile(b) || bpf_prog_run(a, NULL) != 6 ||
	    bpf_prog_run(b, NULL) != 5 || bpf_jit_find((void *)b->bpf_func) != b)
		return 1;
	f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "%lx-%lx %4s", &start, &end, perms);
		if (perms[1] == 'w' && perms[2] == 'x')
			return 2;
		if ((u64)a->bpf_func >= start && (u64)a->bpf_func < end)
			seen = !strcmp(perms, "r-xp");
	}
	bpf_jit_free(a);
	return !seen || bpf_prog_run(b, NULL) != 5 ? 3 : 0;
}

/* Each program in pages of its own, written before they are executable. */
static void execmem_without_memfd(void **state)
{
	int status;
	pid_t pid = fork(); /* the child makes no use of the packs that exist: guarantee E */

	if (!pid)
		_exit(run_without_memfd());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("seccomp filters cannot be installed here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void *compile_and_run(void *arg)
{
	for (int i = 0; i < 300; i++) {
		const struct bpf_insn p[] = {BPF_MOV64_IMM(0, i), CALL_C(jitprog_helper),
					     BPF_MOV64_IMM(0, i), BPF_EXIT_INSN()};
		struct bpf_prog *prog = jitprog_new1(p, ARRAY_SIZE(p));

		if (bpf_jit_compile(prog) || bpf_prog_run(prog, NULL) != i ||
		    bpf_jit_find((void *)prog->bpf_func) != prog)
			return "failed";
		jitprog_free(prog);
	}
	return NULL;
}

static void execmem_threads(void **state)
{
	pthread_t threads[4];
	void *res;

	jitprog_need_jit();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, compile_and_run, NULL), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &res), 0);
		assert_null(res);
	}
}

/* Guarantee F. */
static void execmem_closed_to_others(void **state)
{
	const struct bpf_insn p[] = {BPF_MOV64_IMM(0, 1), BPF_EXIT_INSN()};
	struct bpf_prog *prog = jitprog_new1(p, ARRAY_SIZE(p));
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	u32 found = 0;

	jitprog_need_jit();
	assert_int_equal(bpf_jit_compile(prog), 0);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		char link[256] = "";
		struct stat st;
		int fd = atoi(e->d_name);

		if (readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1) < 0 ||
		    strncmp(link, "/memfd:bpf-jit", 14))
			continue;
		found++;
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		if (geteuid())
			assert_int_equal(openat(dirfd(dir), e->d_name, O_RDONLY), -1);
	}
	closedir(dir);
	assert_true(found);
	jitprog_free(prog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(execmem_w_xor_x), cmocka_unit_test(execmem_near_text),
		cmocka_unit_test(execmem_reuse),   cmocka_unit_test(execmem_find),
		cmocka_unit_test(execmem_large),   cmocka_unit_test(execmem_threads),
		cmocka_unit_test(execmem_far),	   cmocka_unit_test(execmem_without_memfd),
		cmocka_unit_test(execmem_fork),	   cmocka_unit_test(execmem_closed_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
