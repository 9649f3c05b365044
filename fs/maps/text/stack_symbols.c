/*
 * stack_symbols.c - see maps/text/stack_symbols.h
 *
 * `echo PID > symbols` reads functions with the rights of who opened the file; from then on the
 * map's stacks are shown with names, also when the process has ended. A stack is named by the image
 * that its process had then (fs/sources/images.h), whichever process that was; one whose image is
 * not known by that process as it is now. `all` names the former only, `off` ends it. It is not
 * kept over a restart of the server.
 *
 * A process of the agent reads them (agent/service/stack/symbols.c). The write is answered later,
 * by a thread of its own that holds no lock: when the table is there, after SYMBOLS_MS, or when its
 * caller is interrupted.
 *
 * The tables are bounded: a user's by bytes, all by number. The one set longest ago makes room: of
 * that user, or of the user who has most.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include "fs/agent/service/stack/symbols.h"
#include "fs/sources/images.h"
#include "map/types/stackmap.h"
#include "fs/lib/write_buffer.h"
#include "fs/agent/agent.h"
#include "fs/agent/format/symtab.h"
#include "fs/store/node_object.h"
#include "fs/maps/text/stack_symbols.h"
#include "text/value_text.h"
#include "util/clock.h"

#define MAX_TABLES     64
#define MAX_USER_BYTES (2 * (u64)SYMTAB_MAX_BYTES)
#define SYMBOLS_MS     30000
#define SLICE_MS       50

struct table {
	u32 map_id;
	uid_t uid;
	pid_t pid;
	bool kernel; /* this user may see the kernel's, too */
	u64 set;
	struct symtab *tab; /* NULL: free */
};

static struct {
	pthread_rwlock_t lock;
	struct table v[MAX_TABLES];
	u64 clock;
} tables = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static struct symtab *kernel; /* read once, and kept */

/* The lock is held. */
static struct table *__find(u32 map_id)
{
	for (int i = 0; i < MAX_TABLES; i++)
		if (tables.v[i].tab && tables.v[i].map_id == map_id)
			return &tables.v[i];
	return NULL;
}

static void __drop(struct table *t)
{
	symtab_free(t->tab);
	t->tab = NULL;
}

static struct table *__oldest_of(uid_t uid, u32 *n, u64 *bytes)
{
	struct table *oldest = NULL;

	*n = 0;
	*bytes = 0;
	for (int i = 0; i < MAX_TABLES; i++) {
		struct table *t = &tables.v[i];

		if (!t->tab || t->uid != uid)
			continue;
		++*n;
		*bytes += symtab_bytes(t->tab);
		if (!oldest || t->set < oldest->set)
			oldest = t;
	}
	return oldest;
}

static struct table *__free_table(void)
{
	struct table *most = NULL;
	u32 n, most_n = 0;
	u64 bytes;

	for (int i = 0; i < MAX_TABLES; i++) {
		struct table *t = &tables.v[i];

		if (!t->tab)
			return t;
		t = __oldest_of(t->uid, &n, &bytes);
		if (n > most_n) {
			most = t;
			most_n = n;
		}
	}
	__drop(most);
	return most;
}

/* new->tab NULL: what the map has goes. */
static void table_set(const struct table *new)
{
	struct table *t, *oldest;
	u64 bytes;
	u32 n;

	pthread_rwlock_wrlock(&tables.lock);
	t = __find(new->map_id);
	if (t)
		__drop(t);
	if (new->tab) {
		while ((oldest = __oldest_of(new->uid, &n, &bytes)) &&
		       bytes + symtab_bytes(new->tab) > MAX_USER_BYTES)
			__drop(oldest);
		t = __free_table();
		*t = *new;
		t->set = ++tables.clock;
	}
	pthread_rwlock_unlock(&tables.lock);
}

/* ---- printing */

static void print_build_id(const struct bpf_stack_build_id *id, struct fs_text *out)
{
	if (id->status == BPF_STACK_BUILD_ID_VALID) {
		fs_text_hex(out, id->build_id, BPF_BUILD_ID_SIZE, "");
		fs_text_printf(out, "+0x%llx\n", (unsigned long long)id->offset);
	} else {
		fs_text_printf(out, "0x%llx\n", (unsigned long long)id->ip);
	}
}

/* A return address may be the first of the next function: what called is just before it. */
static void print_address(const struct table *t, u32 image, u64 addr, bool is_return,
			  struct fs_text *out)
{
	const struct symtab *tab = t ? t->tab : NULL;
	struct symbol sym;

	if (t && (s64)addr < 0)
		tab = t->kernel ? __atomic_load_n(&kernel, __ATOMIC_ACQUIRE) : NULL;
	if ((s64)addr < 0)
		image = 0;
	fs_text_printf(out, "0x%llx", (unsigned long long)addr);
	if (tab && symtab_find(tab, image, addr - is_return, &sym)) {
		if (sym.name)
			fs_text_printf(out, " %s+0x%llx", sym.name,
				       (unsigned long long)sym.offset + is_return);
		fs_text_printf(out, " (%s)", sym.file);
	}
	fs_text_append(out, "\n", 1);
}

void symbols_print(const struct bpf_map *map, const void *key, const void *value,
		   const char *prefix, struct fs_text *out)
{
	bool build_ids = map->map_flags & BPF_F_STACK_BUILD_ID;
	u32 size = build_ids ? sizeof(struct bpf_stack_build_id) : sizeof(u64);
	struct bpf_stack_build_id id;
	const struct table *t;
	u32 image = 0, stack;

	pthread_rwlock_rdlock(&tables.lock);
	t = __find(map->id);
	if (t) {
		memcpy(&stack, key, sizeof(stack));
		image = bpf_stack_image(map, stack, value);
	}
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
			print_address(t, image, addr, i > 0, out);
	}
	pthread_rwlock_unlock(&tables.lock);
}

/* ---- the file */

static int symbols_open(struct fs_open *open, struct fs_req *req)
{
	int err = fs_open_keep_groups(open, req);

	return err ? err : fs_value_open(open, req);
}

static int symbols_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	const struct table *t;
	struct bpf_map *map;
	int err = store_map(node, req, &map);

	if (err)
		return err;
	pthread_rwlock_rdlock(&tables.lock);
	t = __find(map->id);
	if (t && t->pid == SYMBOLS_IMAGES)
		fs_text_printf(out, "all\n");
	else if (t)
		fs_text_printf(out, "%d\n", t->pid);
	else
		fs_text_printf(out, "off\n");
	pthread_rwlock_unlock(&tables.lock);
	bpf_map_put(map);
	return 0;
}

/* A wait ended without anything: shall it go on? */
static bool go_on(ssize_t ret, const struct fs_req *req, u64 end)
{
	return ret == -ETIMEDOUT && !fs_cancelled(req) && monotonic_ms() < end;
}

static ssize_t receive(int sock, const struct fs_req *req, u64 end, void *buf, size_t size)
{
	ssize_t len;

	do
		len = agent_recv(sock, buf, size, NULL, -1, SLICE_MS);
	while (go_on(len, req, end));
	return len ? len : -EIO;
}

static int receive_block(int sock, const struct fs_req *req, u64 end, u64 len, struct symtab **tab)
{
	__do_free char *block = malloc(len);
	ssize_t n;

	if (!block)
		return -ENOMEM;
	for (u64 at = 0; at < len; at += (u64)n) {
		n = receive(sock, req, end, block + at, len - at);
		if (n < 0)
			return (int)n;
	}
	return symtab_new(move_ptr(block), len, tab);
}

/* Until it is one of the tables, it counts as what a request of that open file keeps. */
static int receive_table(int sock, struct fs_open *open, struct fs_req *req, u64 end,
			 struct symtab **tab)
{
	u64 len = 0;
	ssize_t n = receive(sock, req, end, &len, sizeof(len));
	int err;

	if (n < 0)
		return (int)n;
	if (n != sizeof(len) || !len || len > SYMTAB_MAX_BYTES)
		return -EBADMSG;
	err = fs_open_hold(open, len, fs_why(req));
	if (err)
		return err;
	err = receive_block(sock, req, end, len, tab);
	fs_open_let(open, len);
	return err;
}

/* ---- images */

struct images { /* those of a map's stacks, ascending */
	u32 nr;
	u32 *v;
};

static int by_number(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static void images_sort(struct images *all)
{
	u32 n = 0;

	if (all->nr)
		qsort(all->v, all->nr, sizeof(*all->v), by_number);
	for (u32 i = 0; i < all->nr; i++)
		if (!i || all->v[i] != all->v[n - 1])
			all->v[n++] = all->v[i];
	all->nr = n;
}

/* What its stacks have, and what the process has of which there may be no stack yet. */
static int images_of(const struct bpf_map *map, pid_t pid, struct images *all)
{
	u32 last = 0, image;

	all->v = malloc(2 * IMAGES * sizeof(*all->v));
	if (!all->v)
		return -ENOMEM;
	if (pid > 0)
		all->nr = images_of_process((u32)pid, all->v, IMAGES / 2);
	for (u32 i = 0; i < bpf_stack_ids(map); i++) {
		image = bpf_stack_image(map, i, NULL);
		if (!image || image == last)
			continue;
		last = image;
		if (all->nr == 2 * IMAGES) /* most are there already; numbers of old are unknown */
			images_sort(all);
		if (all->nr == 2 * IMAGES)
			break;
		all->v[all->nr++] = image;
	}
	images_sort(all);
	return 0;
}

static int send_image(int sock, u32 id, const struct fs_cred *cred, void *buf, u64 end)
{
	u64 now = monotonic_ms();
	struct image img;
	size_t len;

	if (now >= end)
		return -ETIMEDOUT;
	if (!image_get(id, cred->uid, &img))
		img = (struct image){.id = id}; /* it made room for others meanwhile */
	len = image_write(&img, buf);
	image_free(&img);
	return agent_send(sock, buf, len, -1, (int)(end - now));
}

static int send_images(int sock, const struct images *images, const struct fs_cred *cred, u64 end)
{
	__do_free void *buf = images->nr ? malloc(IMAGE_MESSAGE) : NULL;
	int err = images->nr && !buf ? -ENOMEM : 0;

	for (u32 i = 0; !err && i < images->nr; i++)
		err = send_image(sock, images->v[i], cred, buf, end);
	return err;
}

/* ---- asking */

/* pid 0: the kernel's. */
static int read_table(struct fs_open *open, struct fs_req *req, pid_t pid, bool look,
		      const struct images *images, struct symtab **tab, struct error_record *why)
{
	const struct fs_cred *cred = &open->opener;
	const struct fs_groups *groups = cred->groups;
	const struct agent_cred as = {cred->uid, cred->gid,
				      groups ? (int)groups->nr : AGENT_ACCOUNT_GROUPS,
				      groups ? groups->gid : NULL};
	const struct symbols_request request = {pid, images->nr, look};
	__do_close int sock = agent_spawn(&as, AGENT_SYMBOLS, &request, sizeof(request), why);
	struct error_record status = {0};
	u64 end = monotonic_ms() + SYMBOLS_MS;
	int err;

	*tab = NULL;
	if (sock < 0)
		return sock;
	err = send_images(sock, images, cred, end);
	if (!err || err == -EIO) /* one that has ended before it took them said why */
		do {
			error_clear(&status);
			err = agent_status(sock, -1, SLICE_MS, &status);
		} while (go_on(err, req, end));
	if (err && err != -ETIMEDOUT)
		error_set(why, -err, "%s", error_why(&status, err));
	error_clear(&status);
	if (err && err != -ETIMEDOUT)
		return err;
	if (!err)
		err = receive_table(sock, open, req, end, tab);
	if (!err)
		return 0;
	if (err == -ETIMEDOUT && fs_cancelled(req))
		return -EINTR;
	if (err == -ETIMEDOUT)
		return error_set(why, ETIMEDOUT, "the process's files do not answer");
	if (err == -EIO)
		return error_set(why, EIO,
				 "reading the process's files ended the process that read them");
	return err;
}

/* Read once; whether this user may see them is asked every time. */
static bool may_see_kernel(struct fs_open *open, struct fs_req *req)
{
	bool known = __atomic_load_n(&kernel, __ATOMIC_ACQUIRE), has;
	const struct images none_of = {0};
	struct symtab *tab, *none = NULL;

	if (read_table(open, req, 0, known, &none_of, &tab, NULL))
		return false;
	has = symtab_has_names(tab);
	if (known || !has ||
	    !__atomic_compare_exchange_n(&kernel, &none, tab, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		symtab_free(tab);
	return has;
}

/* ---- setting */

struct reading { /* a write that waits */
	struct worker_job work;
	struct fs_req *req;
	struct fs_open *open;
	struct write_buffer *pending; /* of the open */
	size_t len; /* of the write */
	struct table new; /* map_id, uid, pid */
	struct images images;
};

static void reading_run(struct worker_job *work)
{
	struct reading *r = container_of(work, struct reading, work);
	int err = read_table(r->open, r->req, r->new.pid, false, &r->images, &r->new.tab,
			     fs_why(r->req));

	if (!err) {
		r->new.kernel = may_see_kernel(r->open, r->req);
		table_set(&r->new);
	}
	if (err || r->pending->buf[r->pending->len - 1] == '\n')
		write_buffer_drop(r->pending, r->pending->len);
	fs_finish(r->req, err ? err : (ssize_t)r->len);
	free(r->images.v);
	free(r);
}

/* What waits already looks at the request itself. */
static void reading_cancel(void *arg)
{
	struct reading *r = arg;

	worker_hurry(&r->work);
}

static ssize_t reading_begin(struct fs_open *open, struct fs_req *req, size_t len,
			     const struct bpf_map *map, pid_t pid)
{
	struct reading *r = calloc(1, sizeof(*r));

	if (!r || images_of(map, pid, &r->images)) {
		if (r)
			free(r->images.v);
		free(r);
		return -ENOMEM;
	}
	r->work.run = reading_run;
	r->work.uid = req->cred.uid;
	r->work.class = WORKER_WAITING;
	r->work.hurry = &req->cancel;
	r->req = req;
	r->open = open;
	r->pending = open->priv;
	r->len = len;
	r->new = (struct table){.map_id = map->id, .uid = open->opener.uid, .pid = pid};
	fs_later(req, reading_cancel, r);
	worker_submit(&r->work);
	return FS_LATER;
}

/* pid 0: off. 0, FS_LATER or -errno. */
static ssize_t symbols_set(struct fs_open *open, struct fs_req *req, size_t len, pid_t pid)
{
	struct bpf_map *map;
	ssize_t ret = store_map(open->node, req, &map);

	if (ret)
		return ret;
	if (map->map_flags & BPF_F_STACK_BUILD_ID)
		ret = fs_error(req, EINVAL, "this map holds build ids, not addresses");
	else if (pid)
		ret = reading_begin(open, req, len, map, pid);
	else
		table_set(&(struct table){.map_id = map->id});
	bpf_map_put(map);
	return ret;
}

static ssize_t symbols_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			     off_t off)
{
	struct write_buffer *p = open->priv;
	size_t pos = 0, n;
	const char *word;
	u64 pid = 0;
	ssize_t ret;

	if (!len)
		return 0;
	ret = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND, 64);
	if (ret)
		return ret;
	if (text_next_word(p->buf, p->len, &pos, &word, &n) && n <= 3 &&
	    (!memcmp(word, "off", n) || !memcmp(word, "all", n))) {
		ret = n == 3 ? TEXT_COMPLETE : TEXT_INCOMPLETE;
		pid = word[0] == 'a' ? (u64)SYMBOLS_IMAGES : 0;
	} else {
		ret = text_parse_u64(p->buf, p->len, INT32_MAX, &pid);
	}
	if (ret == TEXT_INCOMPLETE) {
		ret = fs_value_await(p, req, write_buffer_ended(p, len, false));
		return ret ? ret : (ssize_t)len;
	}
	if (ret < 0)
		fs_error(req, -ret, "symbols takes the number of a process, all, or off");
	else
		ret = symbols_set(open, req, len, (pid_t)pid);
	if (ret == FS_LATER)
		return ret;
	if (ret < 0 || p->buf[p->len - 1] == '\n')
		write_buffer_drop(p, p->len);
	return ret < 0 ? ret : (ssize_t)len;
}

const struct fs_node_ops symbols_ops = {
	.name = "symbols",
	.type = S_IFREG,
	.slow = true,
	.short_show = true,
	.fresh = true, /* writers of one node take turns, and who waits cannot be killed */
	.open = symbols_open,
	.show = symbols_show,
	.write = symbols_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};
