/*
 * symbols.c - see maps/text/stack_symbols.h
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
#include "fs/agent/service/stack/symbols.h"
#include "fs/agent/agent.h"
#include "fs/agent/format/symtab.h"

#define MAX_FILES   (1u << 14)
#define MAX_SYMBOLS (1u << 23) /* a file */

struct list { /* of anything */
	char *v;
	size_t n, cap; /* bytes */
};

static struct {
	struct list maps, segs, syms, files, names;
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

static struct {
	FILE *f; /* /tmp/perf-PID.map of the process, or NULL */
	char path[40];
	u32 file;
	bool used; /* there is such code: `file` is its place in the table */
} jit;

/* The process's number in its own namespace, which it writes into the file's name. */
static pid_t own_pid(int proc, pid_t pid)
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
			pid = atoi(last + 1);
	}
	free(line);
	if (f)
		fclose(f);
	return pid;
}

/* Only the process's own user, or root, says what its functions are called. */
static void open_jit(int proc, pid_t pid)
{
	struct stat file, process;
	int fd;

	snprintf(jit.path, sizeof(jit.path), "/tmp/perf-%d.map", own_pid(proc, pid));
	fd = mapped_open(proc, jit.path);
	if (fd < 0)
		return;
	if (fstat(fd, &file) || fstat(proc, &process) ||
	    (file.st_uid && file.st_uid != process.st_uid))
		close(fd);
	else
		jit.f = fdopen(fd, "r");
}

/* Lines "START SIZE NAME", hexadecimal; the name may have blanks. */
static void read_jit(struct symtab_file *file)
{
	const struct symtab_seg seg = {0, ~0ULL, 0};
	u32 first = COUNT(syms, struct symtab_sym);
	unsigned long long start, size;
	char *line = NULL;
	size_t cap = 0;
	int at;

	file->seg = COUNT(segs, seg);
	file->nr_segs = 1;
	file->sym = first;
	add(&table.segs, &seg, sizeof(seg));
	for (u32 i = 0; i < MAX_SYMBOLS && !table.err && getline(&line, &cap, jit.f) > 0; i++) {
		line[strcspn(line, "\n")] = 0;
		at = 0;
		if (sscanf(line, "%llx %llx %n", &start, &size, &at) == 2 && at && line[at])
			add_symbol(start, size, line + at);
	}
	free(line);
	file->nr_syms = sort_symbols(first);
}

/* ---- the process */

static void read_file(int proc, struct symtab_file *file)
{
	u32 first = COUNT(syms, struct symtab_sym);
	char path[PATH_MAX];
	Elf *elf = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s", table.names.v + file->path);
	fd = mapped_open(proc, path);
	file->seg = COUNT(segs, struct symtab_seg);
	file->sym = first;
	if (fd < 0)
		return;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF) {
		read_segments(elf, file);
		read_symbols(elf);
		file->nr_syms = sort_symbols(first);
	}
	elf_end(elf);
	close(fd);
}

/* The file of that path, from the last one back: mappings of a file stand together. */
static u32 file_of(const char *path)
{
	const struct symtab_file *files = (const void *)table.files.v;
	u32 n = COUNT(files, *files);
	struct symtab_file file = {0};

	for (u32 i = n; i-- > 0;)
		if (!strcmp(table.names.v + files[i].path, path))
			return i;
	if (n == MAX_FILES)
		table.err = -E2BIG;
	file.path = add_name(path);
	add(&table.files, &file, sizeof(file));
	return n;
}

static void read_mapping(const char *line)
{
	unsigned long long start, end, offset;
	char perms[8], path[PATH_MAX] = "";
	struct symtab_map map;
	int n = sscanf(line, "%llx-%llx %7s %llx %*s %*s %4095[^\n]", &start, &end, perms, &offset,
		       path);

	if (n < 4 || perms[2] != 'x')
		return;
	if (n == 5 && strncmp(path, "[anon", 5) && strcmp(path, "[heap]")) {
		map = (struct symtab_map){start, end, offset, file_of(path)};
	} else if (jit.f) { /* its symbols are addresses */
		jit.file = file_of(jit.path);
		jit.used = true;
		map = (struct symtab_map){start, end, start, jit.file};
	} else {
		return;
	}
	add(&table.maps, &map, sizeof(map));
}

static int read_process(pid_t pid)
{
	int proc = mapped_proc(pid), fd;
	char *line = NULL;
	struct stat st;
	size_t cap = 0;
	FILE *f;

	if (proc < 0)
		return proc == -ENOENT ? -ESRCH : proc;
	fd = openat(proc, "maps", O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	open_jit(proc, pid);
	while (!table.err && getline(&line, &cap, f) > 0)
		read_mapping(line);
	fclose(f);
	for (u32 i = 0; !table.err && i < COUNT(files, struct symtab_file); i++) {
		struct symtab_file file = ((struct symtab_file *)table.files.v)[i];

		if (jit.used && i == jit.file)
			read_jit(&file);
		else
			read_file(proc, &file);
		((struct symtab_file *)table.files.v)[i] = file;
	}
	/* It ended before it showed anything. */
	if (!table.err && !table.maps.n && fstatat(proc, "maps", &st, 0))
		return -ESRCH;
	return table.err;
}

/* ---- the kernel */

/*
 * One file that is all of the upper half. To whom the kernel does not show its addresses they are
 * zero.
 */
static int read_kernel(bool only_look)
{
	const struct symtab_map map = {1ULL << 63, ~0ULL, 1ULL << 63, 0};
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
	struct symbols_ask ask;
	int err;

	if (len != sizeof(ask)) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	memcpy(&ask, arg, sizeof(ask));
	elf_version(EV_CURRENT);
	err = ask.pid ? read_process(ask.pid) : read_kernel(ask.only_look);
	if (err == -ESRCH)
		agent_report(sock, err, "there is no process %d", ask.pid);
	else if (err == -EACCES || err == -EPERM)
		agent_report(sock, -EACCES, "process %d is not one whose memory map you may read",
			     ask.pid);
	else if (err == -E2BIG)
		agent_report(sock, err, "the symbols of process %d take more than %u MiB", ask.pid,
			     SYMTAB_MAX_BYTES >> 20);
	else
		agent_report(sock, err, NULL);
	if (!err)
		send_table(sock);
}
