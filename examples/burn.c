/*
 * burn.c - a process to look at: it computes in a few functions whose shares are known
 *
 *	build/examples/burn [SECONDS [NUMBERS]]
 *
 * Two threads. "primes" spends its time counting primes; "main" spends about a third of it in sums
 * and two thirds in sorting, which calls itself. Compiled with frame pointers, so that stacks can
 * be walked (make demo-profile).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define FRAME	 __asm__ volatile("" ::"r"(__builtin_frame_address(0))) /* leaves have one, too */
#define KEEP	 __asm__ volatile("" ::: "memory") /* no tail call: the caller stays on the stack */

static time_t end;
static __thread volatile unsigned long result;

static NOINLINE int is_prime(unsigned int n)
{
	FRAME;
	for (unsigned int d = 2; d * d <= n; d++)
		if (n % d == 0)
			return 0;
	return 1;
}

static NOINLINE unsigned int count_primes(unsigned int from, unsigned int to)
{
	unsigned int count = 0;

	for (unsigned int n = from; n < to; n++)
		count += (unsigned int)is_prime(n);
	return count;
}

static NOINLINE void *primes_main(void *arg)
{
	unsigned int from = 1000000 + (unsigned int)end % 7;

	while (time(NULL) < end)
		result += count_primes(from, from + 20000);
	return arg;
}

static NOINLINE void sort(unsigned int *v, long n)
{
	unsigned int pivot = v[n / 2], t;
	long i = 0, j = n - 1;

	while (i <= j) {
		while (v[i] < pivot)
			i++;
		while (v[j] > pivot)
			j--;
		if (i <= j) {
			t = v[i];
			v[i++] = v[j];
			v[j--] = t;
		}
	}
	if (j > 0)
		sort(v, j + 1);
	if (i < n - 1)
		sort(v + i, n - i);
	KEEP;
}

static NOINLINE void sort_numbers(unsigned int *v, long n)
{
	unsigned int seed = 1;

	for (long i = 0; i < n; i++)
		v[i] = seed = seed * 1664525 + 1013904223;
	sort(v, n);
	KEEP;
}

static NOINLINE void sum_numbers(const unsigned int *v, long n)
{
	FRAME;
	for (int round = 0; round < 40; round++)
		for (long i = 0; i < n; i++)
			result += v[i] >> round % 8;
}

static NOINLINE void work(unsigned int *v, long n)
{
	sort_numbers(v, n);
	sum_numbers(v, n);
	KEEP;
}

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[2]) : 200000;
	unsigned int *v = malloc((size_t)n * sizeof(*v));
	pthread_t primes;

	end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	if (!v || pthread_create(&primes, NULL, primes_main, NULL))
		return 1;
	pthread_setname_np(primes, "primes");
	while (time(NULL) < end)
		work(v, n);
	pthread_join(primes, NULL);
	free(v);
	return 0;
}
