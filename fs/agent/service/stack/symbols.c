/*
 * symbols.c - see symbols.h
 *
 * A process that lives is asked in /proc what it has mapped, and its files are looked up in its own
 * root. Of one that has ended, or executes something else by now, the image is what is known: its
 * files are looked up in this process's root. Files that are not mapped now count only if they are
 * still the same.
 *
 * The files are hostile: libelf checks their structure, and if it does not, this process ends and
 * nothing else.
 */
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include "fs/agent/service/stack/demangle.h"
#include "fs/agent/service/stack/mapped.h"
#include "fs/agent/service/stack/maps.h"
#include "fs/agent/service/stack/symbols.h"
#include "fs/agent/agent.h"
#include "fs/agent/format/symtab.h"

#define MAX_FILES   (1u << 14)
#define MAX_SYMBOLS (1u << 23) /* a file */
#define JIT_LINE    4096

struct list { /* of anything */
	char *v;
	size_t n, cap; /* bytes */
};

struct origin { /* of a file of the table */
	u32 pid; /* in whose root it is, now; 0: in ours, if it is what was mapped */
	bool jit; /* what a process says of code that it made itself */
	u64 ino, seen, ended; /* see image.h */
};

static struct {
	struct list maps, segs, syms, files, names;
	struct list origins; /* of files; not sent */
	int err;
} table;

static size_t table_bytes(void)
{
	return sizeof(struct symtab_header) + table.maps.n + table.segs.n + table.syms.n +
	       table.files.n + table.names.n;
}

/* The offset of what was added; with table.err nothing counts. */
static size_t add(struct list *list, const void *data, size_t len)
{
	size_t at = list->n, cap;
	char *v;

	if (table_bytes() + len > SYMTAB_MAX_BYTES)
		table.err = -E2BIG;
	if (!table.err && list->n + len > list->cap) {
		cap = (list->n + len) * 2;
		v = realloc(list->v, cap);
		if (v) {
			list->v = v;
			list->cap = cap;
		} else {
			table.err = -ENOMEM;
		}
	}
	if (table.err)
		return 0;
	memcpy(list->v + at, data, len);
	list->n += len;
	return at;
}

static u32 add_name(const char *name)
{
	return (u32)add(&table.names, name, strlen(name) + 1);
}

#define COUNT(list, type) ((u32)(table.list.n / sizeof(type)))

/* ---- symbols of one file */

static int compare(const void *a, const void *b)
{
	const struct symtab_sym *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->size > y->size ? -1 : x->size < y->size; /* the one with a size first */
}

/* The symbols from `first` on, sorted, one an address. How many. */
static u32 sort_symbols(u32 first)
{
	struct symtab_sym *v = (struct symtab_sym *)table.syms.v + first;
	u32 n = COUNT(syms, *v) - first, kept = 0;

	if (!n)
		return 0;
	qsort(v, n, sizeof(*v), compare);
	for (u32 i = 0; i < n; i++)
		if (!i || v[i].addr != v[kept - 1].addr)
			v[kept++] = v[i];
	table.syms.n = (first + kept) * sizeof(*v);
	return kept;
}

static void add_symbol(u64 addr, u64 size, const char *name)
{
	struct symtab_sym sym = {addr, size, 0};

	sym.name = add_name(name);
	add(&table.syms, &sym, sizeof(sym));
}

/* Long names are not worth that others have none. */
static const char *readable(const char *name)
{
	return table_bytes() > SYMTAB_MAX_BYTES / 2 ? name : demangle(name);
}

static void read_section(Elf *elf, Elf_Scn *scn, const GElf_Shdr *shdr)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t i, n = shdr->sh_entsize ? shdr->sh_size / shdr->sh_entsize : 0;
	const char *name;
	GElf_Sym sym;

	for (i = 0; data && i < min(n, (size_t)MAX_SYMBOLS) && !table.err; i++) {
		if (!gelf_getsym(data, (int)i, &sym))
			break;
		if (sym.st_shndx == SHN_UNDEF || !sym.st_value ||
		    (GELF_ST_TYPE(sym.st_info) != STT_FUNC &&
		     GELF_ST_TYPE(sym.st_info) != STT_GNU_IFUNC))
			continue;
		name = elf_strptr(elf, shdr->sh_link, sym.st_name);
		if (name && *name)
			add_symbol(sym.st_value, sym.st_size, readable(name));
	}
}

/* The full table when there is one, else that of the dynamic linker. */
static void read_symbols(Elf *elf)
{
	Elf_Scn *scn = NULL, *found = NULL;
	GElf_Shdr shdr, best = {0};

	while ((scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, &shdr) &&
		    (shdr.sh_type == SHT_SYMTAB || (shdr.sh_type == SHT_DYNSYM && !found))) {
			found = scn;
			best = shdr;
		}
	if (found)
		read_section(elf, found, &best);
}

static void read_segments(Elf *elf, struct symtab_file *file)
{
	size_t n = 0, i;
	GElf_Phdr phdr;

	elf_getphdrnum(elf, &n);
	for (i = 0; i < n && file->nr_segs < SYMTAB_MAX_SEGS; i++) {
		struct symtab_seg seg;

		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_LOAD)
			continue;
		seg = (struct symtab_seg){phdr.p_offset, phdr.p_filesz, phdr.p_vaddr};
		add(&table.segs, &seg, sizeof(seg));
		file->nr_segs++;
	}
}

/* ---- code that the process made itself */

/* The process's number in its own namespace, which it writes into the file's name. */
static u32 own_pid(int proc, u32 pid)
{
	int fd = openat(proc, "status", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL, *last;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		if (strncmp(line, "NSpid:", 6))
			continue;
		last = strrchr(line, '\t');
		if (last)
			pid = (u32)atoi(last + 1);
	}
	free(line);
	if (f)
		fclose(f);
	return pid;
}

/*
 * Only the process's own user, or root, says what its functions are called; of one that has ended
 * nothing that was written later, by another one of its number.
 */
static bool jit_is_of(int proc, const struct stat *file, const struct origin *o)
{
	struct stat process;

	if (proc < 0)
		return (!file->st_uid || file->st_uid == geteuid()) && o->ended &&
		       (u64)file->st_mtime >= o->seen && (u64)file->st_mtime <= o->ended + 1;
	return !fstat(proc, &process) && (!file->st_uid || file->st_uid == process.st_uid);
}

/* What is longer than `size` is left out; *left bytes may be read yet. */
static bool read_line(FILE *f, char *line, size_t size, u64 *left)
{
	size_t n = 0;
	int c = EOF;

	while (*left && (c = getc_unlocked(f)) != EOF) {
		--*left;
		if (c == '\n')
			break;
		if (n < size - 1)
			line[n++] = (char)c;
	}
	line[n] = 0;
	return n || c == '\n';
}

/* Lines "START SIZE NAME", hexadecimal; the name may have blanks. The file may have no end. */
static void read_jit(FILE *f, struct symtab_file *file)
{
	const struct symtab_seg seg = {0, ~0ULL, 0};
	unsigned long long start, size;
	u64 left = SYMTAB_MAX_BYTES;
	char line[JIT_LINE];
	int at;

	file->nr_segs = 1;
	add(&table.segs, &seg, sizeof(seg));
	for (u32 i = 0; i < MAX_SYMBOLS && !table.err; i++) {
		if (!read_line(f, line, sizeof(line), &left))
			break;
		at = 0;
		if (sscanf(line, "%llx %llx %n", &start, &size, &at) == 2 && at && line[at])
			add_symbol(start, size, line + at);
	}
}

/* ---- files */

static void read_elf(int fd, struct symtab_file *file)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (elf && elf_kind(elf) == ELF_K_ELF) {
		read_segments(elf, file);
		read_symbols(elf);
	}
	elf_end(elf);
}

/*
 * What /proc calls by this path now is it. Of what was mapped earlier: nobody has touched it since
 * (nor in the same second, which is all that is known), or it is the same one with the same bytes.
 */
static bool is_mapped_file(int proc, const struct stat *st, const struct origin *o)
{
	if (!o->seen)
		return proc >= 0;
	return (u64)st->st_ctime < o->seen ||
	       (st->st_ino == o->ino && (u64)st->st_mtime <= o->seen);
}

static void read_file(const struct origin *o, struct symtab_file *file)
{
	int proc = o->pid ? mapped_proc((pid_t)o->pid) : -1, fd;
	char path[PATH_MAX];
	struct stat st;
	FILE *f = NULL;

	snprintf(path, sizeof(path), "%s", table.names.v + file->path);
	file->seg = COUNT(segs, struct symtab_seg);
	file->sym = COUNT(syms, struct symtab_sym);
	fd = o->jit ? mapped_open_no_link(proc, path) : mapped_open(proc, path);
	if (fd >= 0 && !fstat(fd, &st)) {
		if (o->jit && jit_is_of(proc, &st, o) && (f = fdopen(fd, "r")))
			read_jit(f, file);
		else if (!o->jit && is_mapped_file(proc, &st, o))
			read_elf(fd, file);
		file->nr_syms = sort_symbols(file->sym);
	}
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	if (proc >= 0)
		close(proc);
}

/* The file of that path, from the last one back: mappings of a file stand together. */
static u32 file_of(const char *path, const struct origin *origin)
{
	const struct symtab_file *files = (const void *)table.files.v;
	struct origin *o = (void *)table.origins.v;
	u32 n = COUNT(files, *files);
	struct symtab_file file = {0};

	for (u32 i = n; i-- > 0;) {
		if (o[i].ino != origin->ino || o[i].jit != origin->jit ||
		    strcmp(table.names.v + files[i].path, path))
			continue;
		o[i].seen = min(o[i].seen, origin->seen);
		if (!o[i].pid)
			o[i].pid = origin->pid;
		return i;
	}
	if (n == MAX_FILES)
		table.err = -E2BIG;
	file.path = add_name(path);
	add(&table.files, &file, sizeof(file));
	add(&table.origins, origin, sizeof(*origin));
	return n;
}

/* ---- processes */

static void add_maps(u32 id, const struct image *img, u32 pid, u32 jit_pid)
{
	char jit[40];

	snprintf(jit, sizeof(jit), "/tmp/perf-%u.map", jit_pid);
	for (u32 i = 0; i < img->nr && !table.err; i++) {
		const struct image_map *m = &img->maps[i];
		struct origin o = {pid, !image_path(img, m)[0], m->ino, m->time, img->ended};
		struct symtab_map map = {
			.start = m->start, .end = m->end, .offset = m->offset, .image = id};

		map.file = file_of(o.jit ? jit : image_path(img, m), &o);
		add(&table.maps, &map, sizeof(map));
	}
}

/* What the image knows is mapped there, or most of it: libraries may have gone. */
static bool is_of(const struct image *img, const struct image *live)
{
	u32 same = 0, files = 0;

	for (u32 i = 0; i < img->nr; i++) {
		const char *path = image_path(img, &img->maps[i]);

		if (path[0] != '/')
			continue;
		files++;
		same += image_holds(live, &img->maps[i], path);
	}
	return files && same * 2 > files;
}

/* What it has mapped now is what counts of a process that is still the same. */
static void add_image(const struct image *img)
{
	int proc = mapped_proc((pid_t)img->pid);
	struct image live = {0};
	bool lives = proc >= 0 && !maps_read(proc, 0, &live) && is_of(img, &live);

	if (lives && img->foreign)
		add_maps(img->id, &live, img->pid, own_pid(proc, img->pid));
	else if (!img->foreign)
		add_maps(img->id, img, lives ? img->pid : 0,
			 lives ? own_pid(proc, img->pid) : img->pid);
	image_free(&live);
	if (proc >= 0)
		close(proc);
}

static int add_process(pid_t pid)
{
	int proc = mapped_proc(pid), err;
	struct image live;
	struct stat st;

	if (proc < 0)
		return proc == -ENOENT ? -ESRCH : proc;
	err = maps_read(proc, 0, &live);
	if (!err && !live.nr && fstatat(proc, "maps", &st, 0))
		err = -ESRCH; /* it ended before it showed anything */
	if (!err)
		add_maps(0, &live, (u32)pid, own_pid(proc, (u32)pid));
	image_free(&live);
	close(proc);
	return err;
}

/* They come by their numbers, and so do the mappings of the table. */
static int read_images(int sock, u32 nr, s32 pid, bool *known)
{
	void *buf = nr ? malloc(IMAGE_MESSAGE) : NULL;
	struct image img;
	ssize_t len;

	if (nr && !buf)
		return -ENOMEM;
	for (; nr && !table.err; nr--) {
		len = agent_get(sock, buf, IMAGE_MESSAGE);
		if (len <= 0 || !image_read(buf, (size_t)len, &img))
			return -EBADMSG;
		add_image(&img);
		*known |= img.nr && (s32)img.pid == pid;
	}
	free(buf);
	return table.err;
}

static int read_processes(int sock, const struct symbols_request *request)
{
	int ended = request->pid > 0 ? add_process(request->pid) : 0, err;
	bool known = false;

	if (ended && ended != -ESRCH)
		return ended;
	err = read_images(sock, request->nr_images, request->pid, &known);
	if (!err && !known)
		err = ended; /* of what has ended the images are enough */
	for (u32 i = 0; !err && !table.err && i < COUNT(files, struct symtab_file); i++) {
		struct symtab_file file = ((struct symtab_file *)table.files.v)[i];

		read_file(&((struct origin *)table.origins.v)[i], &file);
		((struct symtab_file *)table.files.v)[i] = file;
	}
	return err ? err : table.err;
}

/* ---- the kernel */

/*
 * One file that is all of the upper half. To whom the kernel does not show its addresses they are
 * zero.
 */
static int read_kernel(bool only_look)
{
	const struct symtab_map map = {1ULL << 63, ~0ULL, 1ULL << 63, 0, 0};
	const struct symtab_seg seg = {0, ~0ULL, 0};
	struct symtab_file file = {.nr_segs = 1};
	char *line = NULL, type, name[512];
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long addr;
	size_t cap = 0;

	file.path = add_name("[kernel]");
	add(&table.maps, &map, sizeof(map));
	add(&table.segs, &seg, sizeof(seg));
	for (u32 i = 0; f && !table.err && getline(&line, &cap, f) > 0; i++) {
		if (sscanf(line, "%llx %c %511s", &addr, &type, name) != 3 || !strchr("tTwW", type))
			continue;
		if (addr >> 63)
			add_symbol(addr, 0, name);
		if (only_look && (table.syms.n || i > 65536))
			break;
	}
	if (f)
		fclose(f);
	file.nr_syms = sort_symbols(0);
	add(&table.files, &file, sizeof(file));
	return table.err;
}

/* ---- */

static bool send_part(int sock, const void *data, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		n = min(len - at, (size_t)SYMBOLS_CHUNK);
		if (!agent_put(sock, (const char *)data + at, n, -1))
			return false;
	}
	return true;
}

static void send_table(int sock)
{
	const struct symtab_header header = {
		.magic = SYMTAB_MAGIC,
		.nr_maps = COUNT(maps, struct symtab_map),
		.nr_segs = COUNT(segs, struct symtab_seg),
		.nr_syms = COUNT(syms, struct symtab_sym),
		.nr_files = COUNT(files, struct symtab_file),
		.names_len = (u32)table.names.n,
	};
	const u64 len = table_bytes();

	if (agent_put(sock, &len, sizeof(len), -1) && send_part(sock, &header, sizeof(header)) &&
	    send_part(sock, table.maps.v, table.maps.n) &&
	    send_part(sock, table.segs.v, table.segs.n) &&
	    send_part(sock, table.syms.v, table.syms.n) &&
	    send_part(sock, table.files.v, table.files.n))
		send_part(sock, table.names.v, table.names.n);
}

void symbols_service(int sock, const void *arg, size_t len)
{
	struct symbols_request request;
	int err;

	if (len != sizeof(request)) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	memcpy(&request, arg, sizeof(request));
	elf_version(EV_CURRENT);
	err = request.pid ? read_processes(sock, &request) : read_kernel(request.only_look);
	if (err == -ESRCH)
		agent_report(
			sock, err,
			"there is no process %d, and none of the stacks was taken of a program "
			"that it ran (all: names of whatever ran)",
			request.pid);
	else if (err == -EACCES || err == -EPERM)
		agent_report(sock, -EACCES, "process %d is not one whose memory map you may read",
			     request.pid);
	else if (err == -E2BIG)
		agent_report(sock, err, "the symbols of process %d take more than %u MiB",
			     request.pid, SYMTAB_MAX_BYTES >> 20);
	else
		agent_report(sock, err, NULL);
	if (!err)
		send_table(sock);
}
