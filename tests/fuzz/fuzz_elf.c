/*
 * fuzz_elf.c - damaged and hostile objects against the object reader
 *
 *	fuzz_elf -seconds 60 [-seed S]
 *
 * Real objects, changed in a few places that the ELF structure makes interesting: fields of
 * headers, symbols and relocations, words of BTF, whole sections moved or cut. Whatever the reader
 * accepts must be sane (test_object_insane()), whatever it refuses must have a reason in the log,
 * the stream's end must not depend on how much of the stream was seen before, and BTF that passed
 * the check must be printable: every type is printed, and the data maps with their contents. Some
 * of what was accepted is then loaded, and what the verifier accepts is run in the interpreter, for
 * a second at most; nothing may stay behind. Meant to run under -fsanitize=address,undefined.
 *
 * An object that takes minutes of processor time is a finding, too.
 *
 * A finding is written to fuzz_elf-SEED.bin; exit status 1 (or the sanitizer's).
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <linux/btf.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "btf/btf.h"
#include "load.h"
#include "object/extent.h"
#include "run/test_run.h"
#include "map/create.h"
#include "tests/lib/fuzzing.h"
#include "tests/lib/object.h"
#include "tests/lib/packets.h"

#define MAX_OBJECTS  128
#define ROOM	     4096 /* how much an object may grow */
#define LOAD_EVERY   64 /* verifying takes longer than reading */
#define MOST_SECONDS 120 /* of one object; verifying and running are bounded by less */
#define MAX_PRINT    (1u << 20) /* a hostile type can stand for gigabytes of text */

static struct {
	u8 *data;
	size_t size;
	const char *name;
} seeds[MAX_OBJECTS];
static u32 seed_cnt;

static u64 rng;

static u32 rnd(u32 n)
{
	rng += 0x9e3779b97f4a7c15ULL;
	u64 z = rng;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return n ? (u32)((z ^ (z >> 31)) >> 32) % n : 0;
}

static u64 interesting(u64 old)
{
	static const u64 values[] = {
		0,	    1,		2,	     7,		8,
		0x7f,	    0xff,	0x7fff,	     0xffff,	0x7fffffff,
		0x80000000, 0xffffffff, 0x100000000, INT64_MAX, UINT64_MAX,
	};

	switch (rnd(4)) {
	case 0:
		return old + rnd(33) - 16;
	case 1:
		return old ^ 1ULL << rnd(64);
	case 2:
		return rnd(4096);
	}
	return values[rnd(ARRAY_SIZE(values))];
}

/* ---- changes */

struct victim {
	u8 *data;
	size_t size;
};

static void change_word(struct victim *v, size_t at, u32 bytes)
{
	u64 word = 0;

	if (at + bytes > v->size)
		return;
	memcpy(&word, v->data + at, bytes);
	word = interesting(word);
	memcpy(v->data + at, &word, bytes);
}

/* The header of a random section (or of the first that has this type), if there is one. */
static bool pick_section(const struct victim *v, u32 type, Elf64_Shdr *sh, size_t *at)
{
	Elf64_Ehdr eh;
	u32 start;

	if (v->size < sizeof(eh))
		return false;
	memcpy(&eh, v->data, sizeof(eh));
	start = rnd(eh.e_shnum);
	for (u32 i = 0; i < eh.e_shnum; i++) {
		*at = eh.e_shoff + ((start + i) % eh.e_shnum) * sizeof(*sh);
		if (*at > v->size - sizeof(*sh))
			return false;
		memcpy(sh, v->data + *at, sizeof(*sh));
		if ((!type || sh->sh_type == type) && sh->sh_offset < v->size &&
		    sh->sh_size <= v->size - sh->sh_offset && sh->sh_size)
			return true;
	}
	return false;
}

static void change_section_header(struct victim *v)
{
	static const u8 fields[][2] = {
		{0, 4}, {4, 4}, {8, 8}, {16, 8}, {24, 8}, {32, 8}, {40, 4}, {44, 4}, {56, 8},
	};
	u32 f = rnd(ARRAY_SIZE(fields));
	Elf64_Shdr sh;
	size_t at;

	if (pick_section(v, 0, &sh, &at))
		change_word(v, at + fields[f][0], fields[f][1]);
}

/* A word inside of a section of a type: 0 any. Most of .BTF and the symbols are 4-byte words. */
static void change_section_content(struct victim *v, u32 type)
{
	static const u8 widths[] = {1, 2, 4, 8};
	u32 width = widths[rnd(4)];
	Elf64_Shdr sh;
	size_t at;

	bool found = pick_section(v, type, &sh, &at);

	/*
	 * Code, data, maps and the license are allocated; .BTF and the many .debug sections are
	 * not.
	 */
	for (int tries = rnd(8); found && tries && !(sh.sh_flags & SHF_ALLOC); tries--)
		found = pick_section(v, type, &sh, &at);
	if (found && sh.sh_size >= width)
		change_word(v, sh.sh_offset + rnd(sh.sh_size / width) * width, width);
}

static void swap_section_headers(struct victim *v)
{
	Elf64_Shdr a, b;
	size_t at_a, at_b;

	if (!pick_section(v, 0, &a, &at_a) || !pick_section(v, 0, &b, &at_b))
		return;
	memcpy(v->data + at_a, &b, sizeof(b));
	memcpy(v->data + at_b, &a, sizeof(a));
}

static void copy_chunk(struct victim *v)
{
	u32 n = 1 + rnd(64);

	if (v->size > n)
		memmove(v->data + rnd(v->size - n), v->data + rnd(v->size - n), n);
}

static void resize(struct victim *v)
{
	if (rnd(2))
		v->size = rnd(v->size + 1);
	else
		v->size += rnd(ROOM / 8);
}

static void mutate(struct victim *v)
{
	u32 n = 1 + rnd(rnd(4) ? 3 : 12);

	while (n-- && v->size) {
		switch (rnd(16)) {
		case 0:
			v->data[rnd(v->size)] = rnd(256);
			break;
		case 1:
			change_word(v, rnd(64), 1u << rnd(4));
			break;
		case 2:
		case 3:
			change_section_header(v);
			break;
		case 4:
		case 5:
			change_section_content(v, SHT_SYMTAB);
			break;
		case 6:
		case 7:
			change_section_content(v, SHT_REL);
			break;
		case 8:
		case 9:
		case 10:
		case 11:
		case 12:
			change_section_content(v, SHT_PROGBITS);
			break;
		case 13:
			swap_section_headers(v);
			break;
		case 14:
			copy_chunk(v);
			break;
		case 15:
			if (!rnd(8))
				resize(v);
			else
				change_section_content(v, 0);
			break;
		}
	}
}

/* ---- checks */

static size_t printed;

static void count_text(void *ctx, const char *fmt, va_list args)
{
	char buf[256];
	int n;

	if (printed > MAX_PRINT)
		return;
	n = vsnprintf(buf, sizeof(buf), fmt, args);
	printed += n > 0 ? n : 0;
}

static void print_btf(const struct bpf_object_file *obj)
{
	const struct btf *btf = obj->btf ? obj->btf->btf : NULL;
	struct btf_dump *d = btf ? btf_dump__new(btf, count_text, NULL, NULL) : NULL;

	if (!d)
		return;
	printed = 0;
	for (u32 id = 1; id < btf__type_cnt(btf) && printed < MAX_PRINT; id++)
		btf_dump__dump_type(d, id);
	for (u32 i = 0; i < obj->map_cnt; i++) {
		const struct bpf_object_map *map = &obj->maps[i];
		DECLARE_LIBBPF_OPTS(btf_dump_type_data_opts, opts, .emit_zeroes = true);

		if (map->init && map->spec.btf_value_type_id)
			btf_dump__dump_type_data(d, map->spec.btf_value_type_id, map->init,
						 map->spec.value_size, &opts);
	}
	btf_dump__free(d);
}

/* ---- loading */

static u64 loaded_cnt, tried_cnt, cancelled_cnt;

/* A few hundred kilobytes of maps are as good as gigabytes. */
static int small_maps(void *priv, const struct bpf_object_file *obj, u32 index,
		      const struct bpf_map_spec *spec, struct bpf_map **map, bool *existing,
		      struct bpf_log *log)
{
	if ((u64)spec->max_entries * ((u64)spec->key_size + spec->value_size) > 1u << 20)
		return -E2BIG;
	return bpf_map_create(spec, 0, -1, -1, map);
}

/* A damaged program may run for years: it is cancelled after a second. */
static volatile bool run_cancelled;

static void cancel_run(int sig)
{
	run_cancelled = true;
}

static void load_and_run(const u8 *data, size_t size)
{
	struct bpf_object_load_opts opts = {.get_map = small_maps, .no_jit = true};
	struct bpf_loaded l;
	int err = bpf_object_load(data, size, &opts, &l);

	tried_cnt++;
	loaded_cnt += !err;
	for (u32 i = 0; !err && i < l.file->prog_cnt; i++) {
		const struct packet *p = &packets[rnd(packet_cnt)];
		struct bpf_test_run run = {
			.data_in = p->data,
			.data_size_in = p->len,
			.cancel = &run_cancelled,
		};

		run_cancelled = false;
		alarm(1);
		cancelled_cnt += bpf_prog_test_run(l.progs[i], &run) == -EINTR;
		alarm(0);
	}
	bpf_loaded_free(&l);
}

/* NULL, or what is wrong. */
static const char *check_extent(const u8 *data, size_t size)
{
	size_t end = 0, end_cut = 0, cut = rnd(size + 1);
	int whole = bpf_object_extent(data, size, 1u << 30, &end);
	int part = bpf_object_extent(data, cut, 1u << 30, &end_cut);

	if (whole == 1 && end > size)
		return "the end is beyond the data";
	if (part == 1 && (whole != 1 || end != end_cut))
		return "a prefix has another end than the whole";
	if (part < 0 && part != whole)
		return "a prefix has another verdict than the whole";
	if (whole == 1 && part == 0 && cut >= end)
		return "a prefix that holds all is incomplete";
	return NULL;
}

static const char *check(const u8 *data, size_t size, u64 *accepted)
{
	struct bpf_object_file *obj = NULL;
	const char *why = check_extent(data, size);
	struct bpf_log log;
	int err;

	bpf_log_init(&log, 1, 0);
	err = bpf_object_read(data, size, &log, &obj);
	if (!why && (err > 0 || !err != !!obj))
		why = "the result and the object do not agree";
	if (!why && err && err != -ENOMEM && !log.len)
		why = "refused without a reason";
	if (!why && obj)
		why = test_object_insane(obj);
	if (!why && obj) {
		print_btf(obj);
		if (!(++*accepted % LOAD_EVERY))
			load_and_run(data, size);
	}
	bpf_object_file_free(obj);
	bpf_log_free(&log);
	return why;
}

static int report(u64 seed, const char *why, const u8 *data, size_t size)
{
	char name[64];
	FILE *f;

	snprintf(name, sizeof(name), "fuzz_elf-%llu.bin", (unsigned long long)seed);
	f = fopen(name, "w");
	if (f) {
		fwrite(data, 1, size, f);
		fclose(f);
	}
	printf("fuzz_elf: seed %llu: %s; see %s\n", (unsigned long long)seed, why, name);
	return 1;
}

/* ---- how long one takes */

static struct {
	u64 seed;
	const u8 *data;
	size_t size;
	volatile u32 seconds;
} current;

static void second_passed(int sig)
{
	if (++current.seconds < MOST_SECONDS)
		return;
	report(current.seed, "it takes minutes", current.data, current.size);
	fflush(stdout);
	abort(); /* the core, or the debugger, says where */
}

static void count_seconds(void)
{
	const struct itimerval every = {{1, 0}, {1, 0}};
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = second_passed;
	action.sa_flags = SA_RESTART;
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &every, NULL);
}

static int one(u64 seed, u64 *accepted)
{
	struct victim v;
	const char *why;
	u8 *exact;
	u32 i;

	rng = seed;
	i = rnd(seed_cnt);
	v.size = seeds[i].size;
	v.data = calloc(1, v.size + ROOM);
	memcpy(v.data, seeds[i].data, v.size);
	mutate(&v);
	/* Memory of exactly this size, so that one byte too far is seen. */
	exact = malloc(max(v.size, (size_t)1));
	memcpy(exact, v.data, v.size);
	free(v.data);
	current.seed = seed;
	current.data = exact;
	current.size = v.size;
	current.seconds = 0;
	why = check(exact, v.size, accepted);
	i = why ? report(seed, why, exact, v.size) : 0;
	free(exact);
	return i;
}

static struct fuzzing fuzzing = {.name = "fuzz_elf"};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

int main(int argc, char **argv)
{
	u64 runs = 0, accepted = 0;
	time_t end;

	if (fuzzing_args(&fuzzing, argc, argv))
		return 2;
	libbpf_set_print(quiet);
	signal(SIGALRM, cancel_run);
	count_seconds();
	for (const char *const *name = test_object_names(); *name && seed_cnt < MAX_OBJECTS;
	     name++) {
		seeds[seed_cnt].data = test_object_bytes(*name, &seeds[seed_cnt].size);
		seeds[seed_cnt++].name = *name;
	}
	end = time(NULL) + fuzzing.seconds;
	do {
		if (one(fuzzing.seed, &accepted))
			return 1;
		fuzzing.seed++;
		runs++;
	} while (time(NULL) < end);
	bpf_rcu_barrier();
	bpf_rcu_barrier();
	printf("fuzz_elf: %llu objects read, %llu of them accepted; %llu loaded of %llu tried, "
	       "%llu runs cancelled\n",
	       (unsigned long long)runs, (unsigned long long)accepted,
	       (unsigned long long)loaded_cnt, (unsigned long long)tried_cnt,
	       (unsigned long long)cancelled_cnt);
	if (bpf_map_live_count() || bpf_prog_live_count()) {
		printf("fuzz_elf: %llu maps and %llu programs were left behind\n",
		       (unsigned long long)bpf_map_live_count(),
		       (unsigned long long)bpf_prog_live_count());
		return 1;
	}
	for (u32 i = 0; i < seed_cnt; i++)
		free(seeds[i].data);
	return 0;
}
