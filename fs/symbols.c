/*
 * symbols.c - see symbols.h
 *
 * `echo PID > symbols` reads the functions of that process as it is now, with the writer's rights; from then on the map's
 * stacks are shown with names, also when the process has ended. `off` ends it. It is not kept over a restart of
 * the server. A bounded table by map id: the one set longest ago makes room.
 */
#include <fcntl.h>
#include <stdio.h>
#include "fs/pending.h"
#include "fs/source/symtab.h"
#include "fs/store.h"
#include "fs/symbols.h"
#include "fs/text.h"

#define MAX_TABLES 64

static struct {
	pthread_rwlock_t lock;
	struct {
		u32 map_id;
		pid_t pid;
		u64 set;
		struct symtab *tab; /* NULL: a free place */
	} v[MAX_TABLES];
	u64 clock;
} tables = {.lock = PTHREAD_RWLOCK_INITIALIZER};

/* The lock is held. */
static int __find(u32 map_id)
{
	for (int i = 0; i < MAX_TABLES; i++)
		if (tables.v[i].tab && tables.v[i].map_id == map_id)
			return i;
	return -1;
}

static void table_set(u32 map_id, pid_t pid, struct symtab *tab)
{
	struct symtab *old;
	int at;

	pthread_rwlock_wrlock(&tables.lock);
	at = __find(map_id);
	if (at < 0) {
		at = 0;
		for (int i = 1; i < MAX_TABLES; i++)
			if (tables.v[at].tab &&
			    (!tables.v[i].tab || tables.v[i].set < tables.v[at].set))
				at = i;
	}
	old = tab || tables.v[at].map_id == map_id ? tables.v[at].tab : NULL;
	if (tab || old) {
		tables.v[at].map_id = map_id;
		tables.v[at].pid = pid;
		tables.v[at].tab = tab;
		tables.v[at].set = ++tables.clock;
	}
	pthread_rwlock_unlock(&tables.lock);
	symtab_free(old);
}

/* ---- printing */

static void print_build_id(const struct bpf_stack_build_id *id, struct fs_text *out)
{
	if (id->status == BPF_STACK_BUILD_ID_VALID) {
		for (u32 i = 0; i < BPF_BUILD_ID_SIZE; i++)
			fs_text_printf(out, "%02x", id->build_id[i]);
		fs_text_printf(out, "+0x%llx\n", (unsigned long long)id->offset);
	} else {
		fs_text_printf(out, "0x%llx\n", (unsigned long long)id->ip);
	}
}

/* A return address may be the first of the next function: what called is just before it. */
static void print_address(const struct symtab *tab, u64 addr, bool is_return, struct fs_text *out)
{
	struct symbol sym;

	fs_text_printf(out, "0x%llx", (unsigned long long)addr);
	if (tab && symtab_find(tab, addr - is_return, &sym)) {
		if (sym.name)
			fs_text_printf(out, " %s+0x%llx", sym.name,
				       (unsigned long long)sym.offset + is_return);
		fs_text_printf(out, " (%s)", sym.file);
	}
	fs_text_append(out, "\n", 1);
}

void symbols_print(const struct bpf_map *map, const void *value, const char *prefix,
		   struct fs_text *out)
{
	bool build_ids = map->map_flags & BPF_F_STACK_BUILD_ID;
	u32 size = build_ids ? sizeof(struct bpf_stack_build_id) : sizeof(u64);
	struct bpf_stack_build_id id;
	int at;

	pthread_rwlock_rdlock(&tables.lock);
	at = __find(map->id);
	for (u32 i = 0; i < map->value_size / size; i++) {
		u64 addr;

		memcpy(&id, (const char *)value + (size_t)i * size, size);
		memcpy(&addr, &id, sizeof(addr));
		if (build_ids ? id.status == BPF_STACK_BUILD_ID_EMPTY : !addr)
			break;
		fs_text_printf(out, "%s", prefix);
		if (build_ids)
			print_build_id(&id, out);
		else
			print_address(at < 0 ? NULL : tables.v[at].tab, addr, i > 0, out);
	}
	pthread_rwlock_unlock(&tables.lock);
}

/* ---- the file */

static int symbols_open(struct fs_open *open, struct fs_req *req)
{
	open->priv = calloc(1, sizeof(struct pending));
	return open->priv ? 0 : -ENOMEM;
}

static void symbols_release(struct fs_open *open)
{
	pending_free(open->priv);
	free(open->priv);
}

static int symbols_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct bpf_map *map;
	int err = store_map(node, req, &map), at;

	if (err)
		return err;
	pthread_rwlock_rdlock(&tables.lock);
	at = __find(map->id);
	if (at < 0)
		fs_text_printf(out, "off\n");
	else
		fs_text_printf(out, "%d\n", tables.v[at].pid);
	pthread_rwlock_unlock(&tables.lock);
	bpf_map_put(map);
	return 0;
}

static int symbols_set(struct fs_node *node, struct fs_req *req, pid_t pid)
{
	struct symtab *tab = NULL;
	struct bpf_map *map;
	int err = store_map(node, req, &map);

	if (err)
		return err;
	if (map->map_flags & BPF_F_STACK_BUILD_ID)
		err = fs_error(req, EINVAL, "this map holds build ids, not addresses");
	else if (pid)
		err = symtab_new(pid, req->cred.uid, req->cred.gid, &tab);
	if (err == -ESRCH)
		fs_error(req, ESRCH, "there is no process %d", pid);
	else if (err == -EACCES || err == -EPERM)
		fs_error(req, EACCES, "process %d is not one whose memory map you may read", pid);
	if (!err)
		table_set(map->id, pid, tab);
	bpf_map_put(map);
	return err;
}

static ssize_t symbols_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			     off_t off)
{
	struct pending *p = open->priv;
	size_t pos = 0, n;
	const char *word;
	u64 pid = 0;
	int ret;

	if (!len)
		return 0;
	ret = pending_add(p, buf, len, off, open->flags & O_APPEND, 64);
	if (ret)
		return ret;
	if (text_next_word(p->buf, p->len, &pos, &word, &n) && n <= 3 && !memcmp(word, "off", n))
		ret = n == 3 ? TEXT_COMPLETE : TEXT_INCOMPLETE;
	else
		ret = text_parse_u64(p->buf, p->len, INT32_MAX, &pid);
	if (ret < 0)
		fs_error(req, -ret, "symbols takes the number of a process, or off");
	else if (ret == TEXT_COMPLETE)
		ret = symbols_set(open->node, req, (pid_t)pid);
	if (ret < 0 || p->buf[p->len - 1] == '\n')
		pending_drop(p, p->len);
	return ret < 0 ? ret : (ssize_t)len;
}

const struct fs_node_ops symbols_ops = {
	.name = "symbols",
	.type = S_IFREG,
	.slow = true,
	.open = symbols_open,
	.show = symbols_show,
	.write = symbols_write,
	.release = symbols_release,
};
