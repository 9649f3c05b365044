/*
 * services.c - see services.h
 */
#include "fs/agent/service/services.h"
#include "fs/agent/process.h"
#include "fs/agent/service/capture.h"
#include "fs/agent/service/interface.h"
#include "fs/agent/service/out.h"
#include "fs/agent/service/perf_open.h"
#include "fs/agent/service/stack/maps.h"
#include "fs/agent/service/stack/stacks.h"
#include "fs/agent/service/stack/symbols.h"
#include "fs/sandbox/caps.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

/* Older kernels have no CAP_PERFMON. */
#define CAPS_SAMPLE  (CAP_BIT(CAP_PERFMON) | CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SYS_PTRACE))
#define CAPS_READ    CAP_BIT(CAP_DAC_READ_SEARCH)
#define CAPS_PROCESS CAP_BIT(CAP_SYS_PTRACE)
#define CAPS_WRITE   (CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH))

#define FOR_READING(call, flags) ALLOW_IF(call, ARG_HAS(flags, O_ACCMODE | O_CREAT | O_TRUNC, 0))

/* Files of /proc, libraries. */
#define OPEN_RULES                                                                             \
	FOR_READING(open, 1), FOR_READING(openat, 2), ALLOW(access), ALLOW(faccessat),         \
		ALLOW(faccessat2), ALLOW(stat), ALLOW(lstat), ALLOW(statx), ALLOW(getdents64), \
		ALLOW(readlink), ALLOW(readlinkat), ALLOW(sysinfo), ALLOW(uname)
/* A path that the client wrote, component by component (file.c, stack/mapped.c). */
#define PATH_RULES ALLOW(openat2), ALLOW(fstatfs)

static const struct filter_rule proc[] = {OPEN_RULES};
static const struct filter_rule perf[] = {OPEN_RULES, ALLOW(perf_event_open)};
static const struct filter_rule stacks[] = {OPEN_RULES, PATH_RULES};
static const struct filter_rule capture[] = {OPEN_RULES, PATH_RULES};
static const struct filter_rule interface[] = {
	OPEN_RULES,
	ALLOW_IF(socket, ARG_IS(0, AF_PACKET)),
	ALLOW_IF(socket, ARG_IS(0, AF_UNIX)),
	ALLOW_IF(socket, ARG_IS(0, AF_NETLINK), ARG_IS(2, NETLINK_GENERIC)), /* is it wireless? */
	ALLOW_IF(socket, ARG_IS(0, AF_INET), ARG_HAS(1, 0xf, SOCK_DGRAM)), /* to ask by ioctl(2) */
	ALLOW(ioctl),
	ALLOW(bind),
	ALLOW(setsockopt),
	ALLOW(getsockopt),
	ALLOW(recvfrom),
	ALLOW(eventfd2),
};
static const struct filter_rule out[] = {OPEN_RULES, PATH_RULES, OUT_RULES};

#define CALLS(rules)                     \
	{                                \
		rules, ARRAY_SIZE(rules) \
	}

const struct agent_service_kind agent_services[AGENT_SERVICE_NR] = {
	[AGENT_PERF] = {perf_service, CAPS_SAMPLE, CALLS(perf)},
	[AGENT_STACKS] = {stacks_service, CAPS_PROCESS | CAPS_READ, CALLS(stacks)},
	[AGENT_SYMBOLS] = {symbols_service, CAPS_PROCESS | CAPS_READ, CALLS(stacks)},
	[AGENT_MAPS] = {maps_service, CAPS_PROCESS | CAPS_READ, CALLS(stacks)},
	[AGENT_PROCESS] = {process_service, CAPS_PROCESS, CALLS(proc)},
	[AGENT_CAPTURE] = {capture_service, CAPS_READ, CALLS(capture)},
	[AGENT_INTERFACE] = {interface_service, CAP_BIT(CAP_NET_RAW), CALLS(interface)},
	[AGENT_OUT] = {out_service, CAPS_WRITE, CALLS(out)},
};
