/*
 * symtab.c - see symtab.h
 *
 * A file's symbols are one sorted array; an address becomes an offset in the file by the mapping, and an address of
 * the file by its program headers. The files are hostile: libelf checks their structure, and we what we take from it.
 */
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include "fs/source/source.h"
#include "fs/source/symtab.h"

#define MAX_MAPPINGS 65536
#define MAX_FILES    1024
#define MAX_SYMBOLS  (1u << 22) /* a file */
#define MAX_SEGMENTS 64

struct sym {
	u64 addr, size;
	size_t name; /* in names */
};

struct sym_list {
	struct sym *v;
	size_t n, cap;
	char *names;
	size_t names_len, names_cap;
};

struct file {
	char *path;
	struct sym_list syms;
	struct {
		u64 offset, size, vaddr;
	} seg[MAX_SEGMENTS];
	u32 nr_segs;
};

struct mapping {
	u64 start, end, offset;
	u32 file;
};

struct symtab {
	pid_t pid;
	struct mapping *maps; /* ascending */
	size_t nr_maps;
	struct file *files;
	u32 nr_files;
	const struct sym_list *kernel; /* NULL: this user may not see it */
};

/* ---- sorted lists of symbols */

static bool list_add(struct sym_list *list, u64 addr, u64 size, const char *name)
{
	size_t len = strnlen(name, 1024) + 1;

	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 256;
		struct sym *v = realloc(list->v, cap * sizeof(*v));

		if (!v)
			return false;
		list->v = v;
		list->cap = cap;
	}
	if (list->names_len + len > list->names_cap) {
		size_t cap = (list->names_len + len) * 2;
		char *names = realloc(list->names, cap);

		if (!names)
			return false;
		list->names = names;
		list->names_cap = cap;
	}
	memcpy(list->names + list->names_len, name, len - 1);
	list->names[list->names_len + len - 1] = 0;
	list->v[list->n++] = (struct sym){addr, size, list->names_len};
	list->names_len += len;
	return true;
}

static int sym_compare(const void *a, const void *b)
{
	const struct sym *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->size > y->size ? -1 : x->size < y->size; /* the one with a size first */
}

static void list_sort(struct sym_list *list)
{
	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), sym_compare);
}

static void list_free(struct sym_list *list)
{
	free(list->v);
	free(list->names);
}

/* The last symbol at or before addr, if it reaches that far (size 0: up to the next). */
static const struct sym *list_find(const struct sym_list *list, u64 addr)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (list->v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	addr -= list->v[low - 1].addr;
	while (low > 1 && list->v[low - 2].addr == list->v[low - 1].addr)
		low--;
	if (list->v[low - 1].size && addr >= list->v[low - 1].size)
		return NULL;
	return &list->v[low - 1];
}

/* ---- ELF */

static void read_symbols(Elf *elf, Elf_Scn *scn, const GElf_Shdr *shdr, struct file *file)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t i, n = shdr->sh_entsize ? shdr->sh_size / shdr->sh_entsize : 0;
	const char *name;
	GElf_Sym sym;

	for (i = 0; data && i < min(n, (size_t)MAX_SYMBOLS); i++) {
		if (!gelf_getsym(data, (int)i, &sym))
			break;
		if (sym.st_shndx == SHN_UNDEF || !sym.st_value ||
		    (GELF_ST_TYPE(sym.st_info) != STT_FUNC &&
		     GELF_ST_TYPE(sym.st_info) != STT_GNU_IFUNC))
			continue;
		name = elf_strptr(elf, shdr->sh_link, sym.st_name);
		if (name && *name && !list_add(&file->syms, sym.st_value, sym.st_size, name))
			break;
	}
}

static void read_elf(struct file *file, int fd)
{
	Elf_Scn *scn = NULL, *table = NULL;
	GElf_Shdr shdr, best = {0};
	size_t n = 0, i;
	GElf_Phdr phdr;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF) {
		elf_end(elf);
		return;
	}
	elf_getphdrnum(elf, &n);
	for (i = 0; i < n && file->nr_segs < MAX_SEGMENTS; i++) {
		if (!gelf_getphdr(elf, (int)i, &phdr) || phdr.p_type != PT_LOAD)
			continue;
		file->seg[file->nr_segs].offset = phdr.p_offset;
		file->seg[file->nr_segs].size = phdr.p_filesz;
		file->seg[file->nr_segs++].vaddr = phdr.p_vaddr;
	}
	/* The full table when there is one, else that of the dynamic linker. */
	while ((scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, &shdr) &&
		    (shdr.sh_type == SHT_SYMTAB || (shdr.sh_type == SHT_DYNSYM && !table))) {
			table = scn;
			best = shdr;
		}
	if (table)
		read_symbols(elf, table, &best, file);
	list_sort(&file->syms);
	elf_end(elf);
}

/* ---- the process */

static int add_file(struct symtab *tab, const char *path)
{
	u32 i;

	for (i = 0; i < tab->nr_files; i++)
		if (!strcmp(tab->files[i].path, path))
			return (int)i;
	if (i == MAX_FILES)
		return -1;
	tab->files[i].path = strdup(path);
	if (!tab->files[i].path)
		return -1;
	tab->nr_files++;
	return (int)i;
}

static void add_mapping(struct symtab *tab, const char *line)
{
	unsigned long long start, end, offset;
	char perms[8], path[PATH_MAX] = "";
	int file;

	if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %4095[^\n]", &start, &end, perms, &offset,
		   path) != 5 ||
	    perms[2] != 'x')
		return;
	file = add_file(tab, path);
	if (file >= 0 && tab->nr_maps < MAX_MAPPINGS)
		tab->maps[tab->nr_maps++] = (struct mapping){start, end, offset, (u32)file};
}

static int open_plain(void *arg, u32 i)
{
	int fd = open(arg, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* As the user, through the process's own root. */
static int open_mapped(void *arg, u32 i)
{
	const struct symtab *tab = arg;
	char path[PATH_MAX + 32];
	struct stat st;
	int fd;

	if (tab->files[i].path[0] != '/')
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/%d/root%s", tab->pid, tab->files[i].path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

static int read_maps(struct symtab *tab, uid_t uid, gid_t gid)
{
	char path[64], *line = NULL;
	size_t cap = 0;
	int fd, err;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", tab->pid);
	err = client_open(uid, gid, open_plain, path, 1, &fd);
	if (err || fd < 0) {
		err = err ? err : fd;
		return err == -ENOENT ? -ESRCH : err;
	}
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	while (getline(&line, &cap, f) > 0)
		add_mapping(tab, line);
	free(line);
	fclose(f);
	return 0;
}

static int read_files(struct symtab *tab, uid_t uid, gid_t gid)
{
	int *fds = calloc(tab->nr_files + 1, sizeof(*fds)), err;

	if (!fds)
		return -ENOMEM;
	err = client_open(uid, gid, open_mapped, tab, tab->nr_files, fds);
	for (u32 i = 0; !err && i < tab->nr_files; i++) {
		if (fds[i] < 0)
			continue;
		read_elf(&tab->files[i], fds[i]);
		close(fds[i]);
	}
	free(fds);
	return err;
}

/* ---- the kernel: read once, shown to those to whom the kernel shows its addresses */

static struct {
	pthread_mutex_t lock;
	struct sym_list list; /* constant once it is not empty */
} kernel = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void __read_kernel(FILE *f)
{
	char *line = NULL, type, name[512];
	unsigned long long addr;
	size_t cap = 0;

	while (getline(&line, &cap, f) > 0)
		if (sscanf(line, "%llx %c %511s", &addr, &type, name) == 3 && addr &&
		    strchr("tTwW", type) && !list_add(&kernel.list, addr, 0, name))
			break;
	free(line);
	list_sort(&kernel.list);
}

static const struct sym_list *kernel_symbols(uid_t uid, gid_t gid)
{
	const struct sym_list *list = NULL;
	unsigned long long addr = 0;
	int fd;
	FILE *f;

	if (client_open(uid, gid, open_plain, (void *)"/proc/kallsyms", 1, &fd) || fd < 0)
		return NULL;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return NULL;
	}
	/* To others the addresses are zero; the very first ones of per-CPU variables are for everybody. */
	pthread_mutex_lock(&kernel.lock);
	if (kernel.list.n) {
		char line[1024];

		for (int i = 0; i < 4096 && !addr && fgets(line, sizeof(line), f); i++)
			addr = strtoull(line, NULL, 16);
	} else {
		__read_kernel(f);
		addr = kernel.list.n;
	}
	if (addr && kernel.list.n)
		list = &kernel.list;
	pthread_mutex_unlock(&kernel.lock);
	fclose(f);
	return list;
}

/* ---- */

int symtab_new(pid_t pid, uid_t uid, gid_t gid, struct symtab **out)
{
	struct symtab *tab = calloc(1, sizeof(*tab));
	int err = -ENOMEM;

	*out = NULL;
	if (!tab)
		return -ENOMEM;
	tab->pid = pid;
	tab->maps = calloc(MAX_MAPPINGS, sizeof(*tab->maps));
	tab->files = calloc(MAX_FILES, sizeof(*tab->files));
	if (tab->maps && tab->files)
		err = read_maps(tab, uid, gid);
	if (!err)
		err = read_files(tab, uid, gid);
	if (err) {
		symtab_free(tab);
		return err;
	}
	tab->kernel = kernel_symbols(uid, gid);
	*out = tab;
	return 0;
}

void symtab_free(struct symtab *tab)
{
	if (!tab)
		return;
	for (u32 i = 0; tab->files && i < tab->nr_files; i++) {
		free(tab->files[i].path);
		list_free(&tab->files[i].syms);
	}
	free(tab->files);
	free(tab->maps);
	free(tab);
}

static bool find_kernel(const struct symtab *tab, u64 addr, struct symbol *out)
{
	const struct sym *sym = tab->kernel ? list_find(tab->kernel, addr) : NULL;

	if (!sym)
		return false;
	out->name = tab->kernel->names + sym->name;
	out->offset = addr - sym->addr;
	out->file = "[kernel]";
	return true;
}

bool symtab_find(const struct symtab *tab, u64 addr, struct symbol *out)
{
	const struct mapping *m = NULL;
	const struct file *file;
	const struct sym *sym;
	u64 off;

	memset(out, 0, sizeof(*out));
	if ((s64)addr < 0)
		return find_kernel(tab, addr, out);
	for (size_t low = 0, high = tab->nr_maps; !m && low < high;) {
		size_t mid = low + (high - low) / 2;

		if (addr < tab->maps[mid].start)
			high = mid;
		else if (addr >= tab->maps[mid].end)
			low = mid + 1;
		else
			m = &tab->maps[mid];
	}
	if (!m)
		return false;
	file = &tab->files[m->file];
	out->file = file->path;
	off = addr - m->start + m->offset;
	for (u32 i = 0; i < file->nr_segs; i++) {
		if (off < file->seg[i].offset || off - file->seg[i].offset >= file->seg[i].size)
			continue;
		off = off - file->seg[i].offset + file->seg[i].vaddr;
		sym = list_find(&file->syms, off);
		if (sym) {
			out->name = file->syms.names + sym->name;
			out->offset = off - sym->addr;
		}
		break;
	}
	return true;
}
