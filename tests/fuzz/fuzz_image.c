/*
 * fuzz_image.c - damaged images of programs against what a start does with them
 *
 *	fuzz_image -seconds 60 [-seed S]
 *
 * Programs of tests/progs are loaded and written as images, which are damaged in a few places. With
 * the checksum that it had none may be read but as it was. With one that is right again it is as
 * somebody may have made it: reading refuses it, or what is read goes through types, verifier and
 * JIT as at a start, refused or not, and no program runs. Nothing may crash or go on for ever.
 * Meant to run under -fsanitize=address,undefined, too.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "load.h"
#include "map/create.h"
#include "object/image.h"
#include "tests/lib/fuzzing.h"
#include "tests/lib/map_model.h"
#include "tests/lib/object.h"

#define WATCHDOG_SECONDS 20
#define MAX_IMAGES	 16
#define ROUNDS		 20

static const char *const objects[] = {"count_ports", "tail_calls",  "functions",
				      "callback",    "global_data", "spin_lock"};

static struct {
	u8 *bytes;
	size_t size;
} images[MAX_IMAGES];
static u32 nr_images;
static struct rnd rng;
static struct fuzzing fuzzing = {.name = "fuzz_image"};
static u64 accepted;

static u32 rnd(u32 n)
{
	return n ? rnd_below(&rng, n) : 0;
}

/* ---- images of sound programs; their maps live on */

static int get_map(void *priv, const struct bpf_object_file *obj, u32 index,
		   const struct bpf_map_spec *spec, struct bpf_map **map, bool *existing,
		   struct bpf_log *log)
{
	*existing = false;
	return bpf_map_create(spec, 0, -1, -1, map);
}

static int keep_image(const struct bpf_prog *prog)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct stat st;

	if (nr_images == MAX_IMAGES)
		return 0;
	if (fd < 0 || bpf_image_write(fd, prog) || fstat(fd, &st))
		return -1;
	images[nr_images].size = (size_t)st.st_size;
	images[nr_images].bytes = malloc((size_t)st.st_size);
	if (!images[nr_images].bytes ||
	    pread(fd, images[nr_images].bytes, (size_t)st.st_size, 0) != st.st_size)
		return -1;
	nr_images++;
	close(fd);
	return 0;
}

static int make_images(const char *name)
{
	struct bpf_object_load_opts opts = {.get_map = get_map};
	struct bpf_loaded loaded;
	size_t size;
	void *data = test_object_bytes(name, &size);
	int err = bpf_object_load(data, size, &opts, &loaded);

	free(data);
	for (u32 i = 0; !err && i < loaded.file->prog_cnt; i++)
		err = keep_image(loaded.progs[i]);
	if (err)
		fprintf(stderr, "fuzz_image: %s: %d\n%s\n", name, err,
			bpf_log_text(&loaded.report));
	/* What the images name has to be there: the references stay. */
	return err;
}

/* ---- damage */

static void damage(u8 *bytes, size_t size)
{
	static const u32 words[] = {0, 1, 2, 63, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

	for (u32 n = 1 + rnd(4); n; n--) {
		/* The header and the instructions more often than line numbers and types. */
		size_t span = rnd(3) ? min(size, rnd(2) ? (size_t)192 : (size_t)1024) : size;
		size_t at = rnd_next(&rng) % span, len = min((size_t)(1 + rnd(64)), size - at);
		u32 word = words[rnd(ARRAY_SIZE(words))];

		switch (rnd(6)) {
		case 0:
			memset(bytes + at, 0, len);
			break;
		case 1:
			memmove(bytes + at, bytes + rnd_next(&rng) % (size - len + 1), len);
			break;
		case 2:
			at &= ~(size_t)3;
			memcpy(bytes + at, &word, min((size_t)4, size - at));
			break;
		case 3:
			bytes[at] = (u8)rnd_next(&rng);
			break;
		default:
			bytes[at] ^= (u8)(1u << rnd(8));
		}
	}
}

static void seal(u8 *bytes, size_t size)
{
	const u64 magic = BPF_IMAGE_MAGIC;
	u64 sum = XXH64(bytes + 16, size - 16, BPF_IMAGE_MAGIC);

	memcpy(bytes, &magic, sizeof(magic));
	memcpy(bytes + 8, &sum, sizeof(sum));
}

/* ---- a start */

static void load(const struct bpf_image *image)
{
	u32 map_cnt = image->attr.map_cnt;
	struct bpf_map **maps = calloc((size_t)map_cnt + 1, sizeof(*maps));
	struct bpf_prog_load_attr attr = image->attr;
	struct bpf_prog *prog = NULL;
	int err = maps ? 0 : -ENOMEM;
	u32 n;

	for (n = 0; !err && n < map_cnt; n++) {
		maps[n] = bpf_map_get_by_id(image->map_ids[n]);
		if (!maps[n])
			break;
	}
	attr.id = 0;
	attr.maps = maps;
	attr.btf = NULL;
	if (!err && n == map_cnt && image->btf_size)
		err = bpf_btf_new(image->btf_data, image->btf_size, &attr.btf);
	if (!err && n == map_cnt && !bpf_prog_load(&attr, NULL, NULL, NULL, &prog)) {
		accepted++;
		bpf_prog_put(prog);
	}
	bpf_btf_put(attr.btf);
	while (n)
		bpf_map_put(maps[--n]);
	free(maps);
}

static int one(u64 seed)
{
	u32 which = (u32)(seed % nr_images);
	const u8 *sound = images[which].bytes;

	rng.state = seed * 0x9e3779b97f4a7c15ULL | 1;
	alarm(WATCHDOG_SECONDS);
	for (u32 round = 0; round < ROUNDS; round++) {
		size_t size = images[which].size;
		int fd = memfd_create("image", MFD_CLOEXEC);
		u8 *bytes = malloc(size);
		struct bpf_image image;
		bool sealed = rnd(4);
		int err;

		if (!bytes || fd < 0)
			return -1;
		memcpy(bytes, sound, size);
		damage(bytes, size);
		if (!rnd(16))
			size = 1 + rnd((u32)size);
		if (sealed && size >= 16)
			seal(bytes, size);
		if (pwrite(fd, bytes, size, 0) != (ssize_t)size)
			return -1;
		err = bpf_image_read(fd, &image);
		if (!err && !sealed && (size != images[which].size || memcmp(bytes, sound, size))) {
			fprintf(stderr, "fuzz_image: seed %llu: a damaged image is read\n",
				(unsigned long long)seed);
			return -1;
		}
		if (!err) {
			load(&image);
			bpf_image_free(&image);
		}
		free(bytes);
		close(fd);
	}
	bpf_rcu_barrier();
	alarm(0);
	return 0;
}

int main(int argc, char **argv)
{
	u64 runs = 0;
	time_t until;

	if (fuzzing_args(&fuzzing, argc, argv))
		return 2;
	fuzzing_tell_crashes(&fuzzing);
	for (u32 i = 0; i < ARRAY_SIZE(objects); i++)
		if (make_images(objects[i]))
			return 2;
	until = time(NULL) + (time_t)fuzzing.seconds;
	do {
		if (one(fuzzing.seed))
			return 1;
		fuzzing.seed++;
		runs++;
	} while (time(NULL) < until);
	printf("fuzz_image: %llu damaged images, %llu of them programs\n",
	       (unsigned long long)(runs * ROUNDS), (unsigned long long)accepted);
	return 0;
}
