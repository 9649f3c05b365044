/*
 * jit_burn.c - code that has no file, and the file that says what it is called
 *
 * jit_burn MAP-DIRECTORY: makes a function, names it in MAP-DIRECTORY/perf-PID.map, and is busy in
 * it until it is killed. Who calls it has the name of a function of C++.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __x86_64__
static const unsigned char code[] = {
	0x55, 0x48, 0x89, 0xe5, /* push %rbp; mov %rsp, %rbp */
	0xb9, 0x40, 0x42, 0x0f, 0x00, /* mov $1000000, %ecx */
	0xff, 0xc9, 0x75, 0xfc, /* 1: dec %ecx; jnz 1b */
	0x5d, 0xc3, /* pop %rbp; ret */
};

void call(void *page) __asm__("_ZN3app6handleEPv");

__attribute__((noinline)) void call(void *page)
{
	((void (*)(void))page)();
	__asm__ volatile(""); /* no tail call */
}

int main(int argc, char **argv)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[4096];
	FILE *f;

	if (argc != 2 || page == MAP_FAILED)
		return 1;
	memcpy(page, code, sizeof(code));
	snprintf(path, sizeof(path), "%s/perf-%d.map", argv[1], getpid());
	f = fopen(path, "w");
	if (!f)
		return 1;
	fprintf(f, "not a line\n%lx %zx Lazy:~handle it /srv/app.js:12\n", (unsigned long)page,
		sizeof(code));
	fclose(f);
	puts("ready");
	fflush(stdout);
	for (;;)
		call(page);
}
#else
int main(void)
{
	return 77; /* no code for this machine */
}
#endif
