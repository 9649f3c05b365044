/*
 * top.c - ubpfctl top: what programs run and how full maps are, as a screen or as lines of JSON
 *
 * Everything is from M/metrics, read once an interval; rates are what changed between two reads.
 * Keys: r runs, n ns a run, c share of a CPU, a name; q ends.
 */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "tools/watch/samples.h"
#include "util/clock.h"
#include "util/types.h"

struct row {
	const struct sample *s;
	double rate, ns, cpu; /* of programs */
	double fill, updates, failed, evictions, lost; /* of maps; 0 to 1, and a second */
};

struct rows {
	struct row *list;
	size_t nr_progs, nr_maps; /* programs first */
};

static int read_samples(struct samples *out)
{
	char *text = read_in_mount("metrics");
	int ret = text ? samples_parse(text, out) : -1;

	free(text);
	out->at = monotonic_ns() / 1e9;
	return ret ? fail("metrics") : 0;
}

static double rate(const struct sample *now, const struct sample *then, int what, double seconds)
{
	double d = now->values[what] - (then ? then->values[what] : 0);

	return d > 0 && seconds > 0 ? d / seconds : 0;
}

static char order = 'c';

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	double d;

	if (x->s->is_map != y->s->is_map)
		return x->s->is_map - y->s->is_map;
	if (order == 'a')
		return strcmp(x->s->name, y->s->name);
	if (x->s->is_map)
		d = y->fill - x->fill;
	else
		d = order == 'r'   ? y->rate - x->rate
		    : order == 'n' ? y->ns - x->ns
				   : y->cpu - x->cpu;
	return d > 0 ? 1 : d < 0 ? -1 : (int)x->s->id - (int)y->s->id;
}

static int rows_make(const struct samples *now, const struct samples *then, struct rows *rows)
{
	double seconds = now->at - then->at;

	*rows = (struct rows){calloc(now->nr + 1, sizeof(struct row))};
	if (!rows->list)
		return fail("memory");
	for (size_t i = 0; i < now->nr; i++) {
		const struct sample *s = &now->list[i];
		const struct sample *old = samples_find(then, s->is_map, s->id);
		struct row *r = &rows->list[i];
		double max = s->values[MAP_MAX_ENTRIES];

		r->s = s;
		rows->nr_progs += !s->is_map;
		rows->nr_maps += s->is_map;
		r->rate = rate(s, old, PROG_RUNS, seconds);
		r->cpu = rate(s, old, PROG_SECONDS, seconds);
		r->ns = r->rate > 0 ? r->cpu / r->rate * 1e9 : 0;
		r->fill = max > 0 ? s->values[MAP_ENTRIES] / max : 0;
		r->updates = rate(s, old, MAP_UPDATES, seconds);
		r->failed = rate(s, old, MAP_FAILED, seconds);
		r->evictions = rate(s, old, MAP_EVICTIONS, seconds);
		r->lost = rate(s, old, MAP_LOST, seconds);
	}
	qsort(rows->list, now->nr, sizeof(*rows->list), compare);
	return 0;
}

/* ---- JSON: a line an interval */

static void out_rows(const struct rows *rows)
{
	const struct row *r = rows->list;

	out_begin(NULL, '{');
	out_u64("time", time(NULL));
	out_begin("programs", '[');
	for (size_t i = 0; i < rows->nr_progs; i++, r++) {
		out_begin(NULL, '{');
		out_u64("id", r->s->id);
		out_str("name", r->s->name);
		out_str("type", r->s->type);
		out_double("runs_per_second", r->rate);
		out_double("ns_per_run", r->ns);
		out_double("cpu", r->cpu);
		out_bool("stopped", r->s->values[PROG_STOPPED] > 0);
		out_end('}');
	}
	out_end(']');
	out_begin("maps", '[');
	for (size_t i = 0; i < rows->nr_maps; i++, r++) {
		out_begin(NULL, '{');
		out_u64("id", r->s->id);
		out_str("name", r->s->name);
		out_str("type", r->s->type);
		out_double("entries", r->s->values[MAP_ENTRIES]);
		out_double("max_entries", r->s->values[MAP_MAX_ENTRIES]);
		out_double("bytes", r->s->values[MAP_BYTES]);
		out_double("updates_per_second", r->updates);
		out_double("failed_updates_per_second", r->failed);
		out_double("evictions_per_second", r->evictions);
		out_double("lost_per_second", r->lost);
		out_end('}');
	}
	out_end(']');
	out_end('}');
	fflush(stdout);
}

/* ---- the screen */

static void heading(int y, const char *text)
{
	attron(A_REVERSE);
	mvprintw(y, 0, "%-*.*s", COLS, COLS, text);
	attroff(A_REVERSE);
}

static void show_map(int y, const struct row *r)
{
	bool bad = r->failed > 0 || r->lost > 0;

	if (bad)
		attron(COLOR_PAIR(1));
	else if (r->fill > 0.9 && !strstr(r->s->type, "array"))
		attron(COLOR_PAIR(2));
	mvprintw(y, 0, "%6u %-24.24s %-14.14s %10.0f %6.1f%% %10.0f %9.0f %9.0f %9.0f", r->s->id,
		 r->s->name, r->s->type, r->s->values[MAP_ENTRIES], r->fill * 100, r->updates,
		 r->evictions, r->failed, r->lost);
	attroff(COLOR_PAIR(1) | COLOR_PAIR(2));
}

static void show(const struct rows *rows)
{
	const struct row *r = rows->list;
	int half = LINES / 2, y = 0;
	double cpu = 0;

	for (size_t i = 0; i < rows->nr_progs; i++)
		cpu += r[i].cpu;
	erase();
	mvprintw(y++, 0,
		 "%s  %zu programs, %zu maps, %.1f%% of a CPU   sort: r)uns n)s c)pu a) name"
		 "   q)uit",
		 mount_point(), rows->nr_progs, rows->nr_maps, cpu * 100);
	heading(y++,
		"    ID PROGRAM                  TYPE                 RUNS/S     NS/RUN    %CPU");
	for (size_t i = 0; i < rows->nr_progs; i++, r++)
		if (y < half || rows->nr_maps + 2 < (size_t)(LINES - y)) {
			if (r->s->values[PROG_STOPPED] > 0)
				attron(COLOR_PAIR(1));
			mvprintw(y++, 0, "%6u %-24.24s %-14.14s %12.0f %10.0f %7.2f%s", r->s->id,
				 r->s->name, r->s->type, r->rate, r->ns, r->cpu * 100,
				 r->s->values[PROG_STOPPED] > 0 ? " stopped" : "");
			attroff(COLOR_PAIR(1));
		}
	heading(y++, "    ID MAP                      TYPE              ENTRIES    FULL  UPDATES/S "
		     "EVICTED/S  FAILED/S    LOST/S");
	for (size_t i = 0; i < rows->nr_maps && y < LINES; i++, r++)
		show_map(y++, r);
	refresh();
}

/* Until the interval is over; true: it is to end. */
static bool wait_keys(double seconds)
{
	uint64_t end = monotonic_ms() + (uint64_t)(seconds * 1000), now;

	while ((now = monotonic_ms()) < end) {
		int key;

		timeout((int)(end - now));
		key = getch();
		if (key == 'q' || key == 27)
			return true;
		if (key > 0 && key < 256 && strchr("rnca", key)) {
			order = key;
			return false;
		}
		if (key == KEY_RESIZE)
			return false;
	}
	return false;
}

static void wait_for(double seconds)
{
	struct timespec ts = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};

	nanosleep(&ts, NULL);
}

static bool screen_begin(void)
{
	SCREEN *screen = isatty(STDOUT_FILENO) ? newterm(NULL, stdout, stdin) : NULL;

	if (!screen)
		return false;
	set_term(screen);
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_RED, -1);
		init_pair(2, COLOR_YELLOW, -1);
	}
	return true;
}

static int watch(double seconds, long times, bool screen)
{
	struct samples then = {0}, now = {0};
	struct rows rows = {0};
	bool end = false;
	int ret = read_samples(&then);

	/* A first look at once, then one an interval. */
	for (long i = 0; !ret && !end && (times < 0 || i < times); i++) {
		if (screen)
			end = i && wait_keys(seconds);
		else
			wait_for(seconds);
		if (end || (ret = read_samples(&now)))
			break;
		ret = rows_make(&now, &then, &rows);
		if (!ret && screen)
			show(&rows);
		else if (!ret)
			out_rows(&rows);
		free(rows.list);
		if (screen && !i)
			samples_free(&now); /* rates are against the first read */
		else {
			samples_free(&then);
			then = now;
			now = (struct samples){0};
		}
	}
	samples_free(&then);
	samples_free(&now);
	return ret;
}

int cmd_top(int argc, char **argv)
{
	double seconds = 1;
	long times = -1;
	bool screen;
	int opt, ret;
	char *end;

	while ((opt = getopt(argc, argv, "d:n:")) != -1) {
		errno = 0;
		if (opt == 'd')
			seconds = strtod(optarg, &end);
		else if (opt == 'n')
			times = strtol(optarg, &end, 10);
		else
			return 2;
		if (*end || errno || (opt == 'd' && !(seconds >= 0.1 && seconds < 1e6)) ||
		    (opt == 'n' && times < 1)) {
			fprintf(stderr, "ubpfctl: -%c: '%s' is no %s\n", opt, optarg,
				opt == 'd' ? "number of seconds, 0.1 or more"
					   : "number of times, 1 or more");
			return 1;
		}
	}
	if (optind != argc)
		return 2;
	mount_point();
	screen = !out_json() && screen_begin();
	if (!screen && !out_json()) {
		fprintf(stderr, "ubpfctl: top needs a terminal; --json prints lines for scripts\n");
		return 1;
	}
	ret = watch(seconds, times, screen);
	if (screen)
		endwin();
	return ret | out_done();
}
