/*
 * exec_other.c - a process and its child that executes another program, at the same addresses
 *
 * exec_other PROGRAM ARGUMENT: without address space randomization, starts PROGRAM as a child, says
 * its number, and is busy in parent_loop() until it is killed.
 */
#include <stdio.h>
#include <sys/personality.h>
#include <unistd.h>

void parent_loop(void);

__attribute__((noinline)) void parent_loop(void)
{
	for (long i = 0; i < 30000000; i++)
		__asm__ volatile("");
}

int main(int argc, char **argv)
{
	pid_t child;

	if (argc < 3)
		return 2;
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(ADDR_NO_RANDOMIZE);
		execv(argv[0], argv);
		return 1;
	}
	if (getchar() == EOF)
		return 1;
	child = fork();
	if (!child) {
		execl(argv[1], argv[1], argv[2], (char *)0);
		_exit(1);
	}
	printf("%d\n", child);
	fflush(stdout);
	for (;;)
		parent_loop();
}
