/*
 * services.c - see services.h
 */
#include "fs/agent/service/services.h"
#include "fs/agent/process.h"
#include "fs/agent/service/capture.h"
#include "fs/agent/service/out.h"
#include "fs/agent/service/perf_open.h"
#include "fs/agent/service/stack/maps.h"
#include "fs/agent/service/stack/stacks.h"
#include "fs/agent/service/stack/symbols.h"

agent_service_fn *const agent_services[AGENT_SERVICE_NR] = {
	[AGENT_PERF] = perf_service,	   [AGENT_STACKS] = stacks_service,
	[AGENT_PROCESS] = process_service, [AGENT_SYMBOLS] = symbols_service,
	[AGENT_MAPS] = maps_service,	   [AGENT_CAPTURE] = capture_service,
	[AGENT_OUT] = out_service,
};
