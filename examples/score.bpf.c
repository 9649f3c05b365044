/*
 * score.bpf.c - rules for orders, run by examples/helper.c
 *
 * The argument's type is the block that the program works on. spent_by() is a function of the
 * host's: the verifier holds its calls against the prototype that the host gave it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "examples/order.h"

static unsigned long long (*spent_by)(const char *customer, unsigned long long len) =
	(void *)HELPER_SPENT_BY;

SEC("raw")
int score(struct order *order)
{
	unsigned long long spent = spent_by(order->customer, sizeof(order->customer));

	order->discount = 0;
	if (spent > 1000)
		order->discount = 10;
	if (order->amount > 500)
		order->discount += 5;
	return order->amount <= 2000;
}
