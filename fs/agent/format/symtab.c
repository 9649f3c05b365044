/*
 * symtab.c - see symtab.h
 *
 * An address becomes an offset in a file by the mapping, and an address of the file by its program
 * headers.
 */
#include "fs/agent/format/symtab.h"

struct symtab {
	const struct symtab_header *header; /* the block */
	size_t len;
	const struct symtab_map *maps;
	const struct symtab_seg *segs;
	const struct symtab_sym *syms;
	const struct symtab_file *files;
	char *names;
};

/* ---- checks */

/* The parts of the block, if they are as long as it is. */
static bool lay_out(struct symtab *tab, void *block, size_t len)
{
	const struct symtab_header *h = block;
	u64 maps, segs, syms, files;
	char *at = block;

	if (len < sizeof(*h) || len > SYMTAB_MAX_BYTES || h->magic != SYMTAB_MAGIC)
		return false;
	maps = (u64)h->nr_maps * sizeof(struct symtab_map);
	segs = (u64)h->nr_segs * sizeof(struct symtab_seg);
	syms = (u64)h->nr_syms * sizeof(struct symtab_sym);
	files = (u64)h->nr_files * sizeof(struct symtab_file);
	if (sizeof(*h) + maps + segs + syms + files + h->names_len != len)
		return false;
	tab->header = h;
	tab->len = len;
	at += sizeof(*h);
	tab->maps = (void *)at;
	at += maps;
	tab->segs = (void *)at;
	at += segs;
	tab->syms = (void *)at;
	at += syms;
	tab->files = (void *)at;
	at += files;
	tab->names = at;
	return true;
}

static bool names_ok(struct symtab *tab)
{
	u32 len = tab->header->names_len;

	if (len && tab->names[len - 1])
		return false;
	for (u32 i = 0; i < len; i++) {
		u8 c = (u8)tab->names[i];

		if ((c && c < ' ') || c == 0x7f)
			tab->names[i] = '?';
	}
	return true;
}

static bool maps_ok(const struct symtab *tab)
{
	u64 end = 0;
	u32 image = 0;

	for (u32 i = 0; i < tab->header->nr_maps; i++) {
		const struct symtab_map *m = &tab->maps[i];

		if (m->image < image)
			return false;
		if (m->image > image)
			end = 0;
		image = m->image;
		if (m->start < end || m->end <= m->start || m->file >= tab->header->nr_files)
			return false;
		end = m->end;
	}
	return true;
}

/* Each file has the segments and the symbols that follow those of the file before. */
static bool files_ok(const struct symtab *tab)
{
	const struct symtab_header *h = tab->header;
	u32 seg = 0, sym = 0;

	for (u32 i = 0; i < h->nr_files; i++) {
		const struct symtab_file *f = &tab->files[i];

		if (f->path >= h->names_len || f->nr_segs > SYMTAB_MAX_SEGS ||
		    f->nr_segs > h->nr_segs - seg || f->nr_syms > h->nr_syms - sym)
			return false;
		for (u32 k = sym; k < sym + f->nr_syms; k++)
			if (tab->syms[k].name >= h->names_len ||
			    (k > sym && tab->syms[k].addr <= tab->syms[k - 1].addr))
				return false;
		if (f->seg != seg || f->sym != sym)
			return false;
		seg += f->nr_segs;
		sym += f->nr_syms;
	}
	return seg == h->nr_segs && sym == h->nr_syms;
}

int symtab_new(void *block, size_t len, struct symtab **out)
{
	struct symtab *tab = calloc(1, sizeof(*tab));
	int err = -ENOMEM;

	*out = NULL;
	if (tab && lay_out(tab, block, len) && names_ok(tab) && maps_ok(tab) && files_ok(tab)) {
		*out = tab;
		return 0;
	}
	if (tab)
		err = -EBADMSG;
	free(tab);
	free(block);
	return err;
}

void symtab_free(struct symtab *tab)
{
	if (!tab)
		return;
	free((void *)tab->header);
	free(tab);
}

size_t symtab_bytes(const struct symtab *tab)
{
	return tab->len;
}

bool symtab_has_names(const struct symtab *tab)
{
	return tab->header->nr_syms;
}

/* ---- searching */

/* The last symbol at or before addr, if it reaches that far (size 0: up to the next). */
static const struct symtab_sym *find_symbol(const struct symtab_sym *v, u32 n, u64 addr)
{
	u32 low = 0, high = n;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || (v[low - 1].size && addr - v[low - 1].addr >= v[low - 1].size))
		return NULL;
	return &v[low - 1];
}

static const struct symtab_map *find_map(const struct symtab *tab, u32 image, u64 addr)
{
	u32 low = 0, high = tab->header->nr_maps;

	while (low < high) {
		u32 mid = low + (high - low) / 2;
		const struct symtab_map *m = &tab->maps[mid];

		if (image < m->image || (image == m->image && addr < m->start))
			high = mid;
		else if (image > m->image || addr >= m->end)
			low = mid + 1;
		else
			return m;
	}
	return NULL;
}

bool symtab_find(const struct symtab *tab, u32 image, u64 addr, struct symbol *out)
{
	const struct symtab_map *m = find_map(tab, image, addr);
	const struct symtab_file *file;
	const struct symtab_sym *sym;
	u64 off;

	memset(out, 0, sizeof(*out));
	if (!m)
		return false;
	file = &tab->files[m->file];
	out->file = tab->names + file->path;
	off = addr - m->start + m->offset;
	for (u32 i = 0; i < file->nr_segs; i++) {
		const struct symtab_seg *seg = &tab->segs[file->seg + i];

		if (off < seg->offset || off - seg->offset >= seg->size)
			continue;
		off = off - seg->offset + seg->vaddr;
		sym = find_symbol(tab->syms + file->sym, file->nr_syms, off);
		if (sym) {
			out->name = tab->names + sym->name;
			out->offset = off - sym->addr;
		}
		break;
	}
	return true;
}
