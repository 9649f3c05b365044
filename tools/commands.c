/*
 * commands.c - the table of the subcommands: help, usage and completion are printed from it
 */
#include <stddef.h>
#include "tools/lib/commands.h"

const struct command commands[] = {
	{"load", cmd_load, "[-t TYPE] FILE...",
	 "load ELF objects; on a rejection print the report. -t: of programs whose SEC() says no "
	 "type",
	 "-t", "ubpfctl load traffic.bpf.o"},
	{"push", cmd_push, "[-r REPEAT] [-q] PROG FILE|-",
	 "run a program on each packet of a pcap file, or on one raw packet", "-r -q",
	 "ubpfctl push traffic capture.pcap"},
	{"filter", cmd_filter, "[-d] NAME EXPRESSION...",
	 "make a program of a tcpdump expression; -d: print it as tcpdump -ddd", "-d",
	 "ubpfctl filter dns 'udp port 53'"},
	{"list", cmd_list, "[progs|maps]", "one line an object", "progs maps", "ubpfctl list maps"},
	{"flame", cmd_flame, "[-p PID] [-t TITLE] [--folded] STACKS [COUNTS]",
	 "a stack_trace map as a flame graph (SVG), or as folded lines", "-p -t --folded",
	 "ubpfctl flame -p 4711 stacks counts > flame.svg"},
	{"run", cmd_run, "[-v] [-m MOUNT] [--] COMMAND...",
	 "run a program; its bpf(2) calls are answered by the mount (-v: and printed)", "-v -m",
	 "ubpfctl run bpftool map show"},
	{"upgrade", cmd_upgrade, "[MOUNT [PROGRAM]]",
	 "replace the running server of a mount by PROGRAM, or by its own file as it is now", "",
	 "ubpfctl upgrade /mnt /usr/local/bin/ubpffs"},
	{"trace", cmd_trace, "[-n]", "follow trace_pipe; -n: print what is there and end", "-n",
	 "ubpfctl trace -n"},
	{"completion", cmd_completion, "bash|zsh|fish",
	 "what the shell needs to complete these commands", "bash zsh fish",
	 "ubpfctl completion bash > ~/.local/share/bash-completion/completions/ubpfctl"},
	{NULL, NULL, NULL, NULL, NULL, NULL},
};
