/*
 * new.c - M/progs/new: bytes in, programs and maps out
 *
 * One object a open. The bytes may come in any number of writes, in order or at offsets; the write
 * after which the object is complete loads it (on a worker) and carries the verdict, which every
 * later write on this open repeats. An object is an ELF file or the text of tcpdump -ddd: the first
 * byte tells. What follows an accepted object is padding. The last close discards what is
 * incomplete.
 *
 * A line `type TYPE` before an ELF file is the type of those of its programs whose SEC() names
 * none.
 */
#include "fs/progs/load/new.h"
#include "fs/progs/load/own_file.h"
#include "fs/progs/load/loader.h"
#include "fs/lib/metrics.h"
#include "text/value_text.h"
#include "fs/caller/caller.h"
#include "fs/keeper/records.h"
#include "fs/progs/load/load_report.h"
#include "classic/classic.h"
#include "classic/text.h"
#include "object/extent.h"
#include "object/object.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>

#define NEW_MAX	    (64u << 20)
#define NEW_EXTENTS 4096
#define TEXT_STEP   256 /* no line of a classic filter is as long */
#define TYPE_LINE   128 /* bytes of `type TYPE` and its newline, at most */

struct extent {
	size_t from, to;
};

struct newprog {
	char *buf;
	size_t cap;
	size_t end_written; /* one past the last byte written */
	struct extent *have; /* what was written: sorted, apart */
	u32 have_cnt;
	size_t skip; /* where the object begins: after a line `type TYPE` */
	char type[TYPE_LINE];
	size_t asked; /* prefix length at which completeness was last looked at */
	size_t needed; /* an ELF file has at least so many bytes */
	size_t parsed; /* the same for text, whose lines are looked at when they end */
	mode_t umask;
	bool done;
	int verdict;
};

static int new_open(struct fs_open *open, struct fs_req *req)
{
	struct newprog *new;
	int err = fs_open_keep_groups(open, req);

	if (err)
		return err;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->umask = perm_umask(&req->cred);
	open->priv = new;
	return 0;
}

/* ---- bytes */

static int add_extent(struct newprog *new, size_t from, size_t to)
{
	struct extent *v;
	u32 i = 0, j;

	while (i < new->have_cnt &&new->have[i].to < from)
		i++;
	for (j = i; j < new->have_cnt &&new->have[j].from <= to; j++) {
		from = min(from, new->have[j].from);
		to = max(to, new->have[j].to);
	}
	if (j == i) { /* touches none: make room for one */
		if (new->have_cnt >= NEW_EXTENTS)
			return -EFBIG;
		v = realloc(new->have, (new->have_cnt + 1) * sizeof(*v));
		if (!v)
			return -ENOMEM;
		new->have = v;
	}
	memmove(&new->have[i + 1], &new->have[j], (new->have_cnt - j) * sizeof(*new->have));
	new->have_cnt -= j - i;
	new->have_cnt++;
	new->have[i].from = from;
	new->have[i].to = to;
	return 0;
}

static int add_bytes(struct fs_open *open, struct fs_req *req, const char *data, size_t len,
		     size_t off)
{
	struct newprog *new = open->priv;
	size_t end = off + len;
	int err;

	if (off > NEW_MAX || len > NEW_MAX || end > NEW_MAX)
		return -EFBIG;
	if (end > new->cap) {
		size_t cap = max(end, min(new->cap * 2, (size_t)NEW_MAX));
		char *buf;

		err = fs_open_hold(open, cap - new->cap, fs_why(req));
		if (err)
			return err;
		buf = realloc(new->buf, cap);
		if (!buf) {
			fs_open_let(open, cap - new->cap);
			return -ENOMEM;
		}
		memset(buf + new->cap, 0, cap - new->cap);
		new->buf = buf;
		new->cap = cap;
	}
	err = add_extent(new, off, end);
	if (err)
		return err;
	memcpy(new->buf + off, data, len);
	new->end_written = max(new->end_written, end);
	return 0;
}

/* ---- verdicts */

static int refuse(struct newprog *new, struct fs_req *req, int err, const char *why)
{
	struct fs_text report = {0};

	new->done = true;
	new->verdict = err;
	fs_text_printf(&report, "verdict: refused, %s (%s)\nreason: %s\n", strerrorname_np(-err),
		       strerror(-err), why);
	report_set(REPORT_LOAD, req->cred.uid, &report);
	fs_count(rejects);
	return fs_error(req, -err, "%s", why);
}

/* Source, as far as its first bytes tell. */
static bool looks_like_c(const char *buf, size_t len)
{
	static const char *const parts[] = {"#include", "#define", "#pragma", "SEC("};

	if (len >= 2 && buf[0] == '/' && (buf[1] == '/' || buf[1] == '*'))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (memmem(buf, len, parts[i], strlen(parts[i])))
			return true;
	return false;
}

static int not_elf(struct newprog *new, struct fs_req *req, int err, const char *buf, size_t len)
{
	if (err == -EFBIG)
		return refuse(new, req, err, "the object's headers claim more than 64 MiB");
	if (looks_like_c(buf, len))
		return refuse(new, req, err,
			      "this is C source: compile it first (clang -O2 -g -target bpf -c "
			      "x.c -o x.o), and write x.o");
	if (len >= SELFMAG && !memcmp(buf, ELFMAG, SELFMAG))
		return refuse(new, req, err,
			      "this is an ELF file, but no eBPF object: a program or a library of "
			      "this machine, or a linked file. Compile with clang -O2 -g -target "
			      "bpf -c");
	return refuse(new, req, err,
		      "this is neither a 64-bit little-endian eBPF object (what clang -O2 -g "
		      "-target bpf -c makes) nor the text of tcpdump -ddd");
}

static void loaded(struct newprog *new, struct fs_req *req, int verdict, struct fs_text *report)
{
	new->verdict = verdict;
	new->done = true;
	report_set(REPORT_LOAD, req->cred.uid, report);
	if (new->verdict)
		fs_count(rejects);
	else
		fs_count(loads);
}

/* After the verdict nobody looks at the bytes any more. */
static void drop_bytes(struct fs_open *open)
{
	struct newprog *new = open->priv;

	fs_open_let(open, new->cap);
	free(new->buf);
	new->buf = NULL;
	new->cap = 0;
}

/* The line `type TYPE`, if one begins the first `prefix` bytes: new->skip. 1: it is not whole. */
static int look_for_type(struct newprog *new, struct fs_req *req, size_t prefix)
{
	static const char word[] = "type ";
	size_t len = sizeof(word) - 1, pos = len, n;
	const char *end, *name;

	if (new->skip || memcmp(new->buf, word, min(prefix, len)))
		return 0;
	end = memchr(new->buf, '\n', min(prefix, (size_t)TYPE_LINE));
	if (!end && prefix < TYPE_LINE)
		return 1;
	n = end ? (size_t)(end - new->buf) : prefix;
	if (!end || memchr(new->buf, 0, n) || !text_next_word(new->buf, n, &pos, &name, &len) ||
	    pos < n)
		return refuse(new, req, -EINVAL, "the line before the object is `type TYPE`");
	memcpy(new->type, name, len);
	new->type[len] = 0;
	if (!bpf_object_type_ok(new->type)) {
		char why[2 * TYPE_LINE];

		snprintf(why, sizeof(why),
			 "'%s' is no program type: features has those that there are, and SEC() "
			 "names will do",
			 new->type);
		return refuse(new, req, -EINVAL, why);
	}
	new->skip = n + 1;
	return prefix == new->skip;
}

/* The first `prefix` bytes are there: is that the object? */
static int look_for_elf(struct newprog *new, struct fs_req *req, struct fs_node *dir, size_t prefix)
{
	const char *buf = new->buf + new->skip, *type = new->skip ? new->type : NULL;
	struct fs_text report = {0};
	size_t end;
	int ret;

	prefix -= new->skip;
	if (prefix < new->needed)
		return 0;
	ret = bpf_object_extent(buf, prefix, NEW_MAX, &end);
	if (ret < 0)
		return not_elf(new, req, ret, buf, prefix);
	if (ret)
		loaded(new, req, load_object(req, dir, buf, end, type, new->umask, &report),
		       &report);
	else
		new->needed = end;
	return 0;
}

/*
 * A text is read again from its start, but only when another line has ended, or ought to have.
 */
static int look_for_text(struct newprog *new, struct fs_req *req, struct fs_node *dir,
			 size_t prefix)
{
	struct bpf_classic_text text;
	struct fs_text report = {0};
	struct bpf_log log;
	size_t end;
	int ret;

	if (prefix - new->parsed < TEXT_STEP &&
	    !memchr(new->buf + new->parsed, '\n', prefix - new->parsed))
		return 0;
	new->parsed = prefix;
	bpf_log_init(&log, 0, 0);
	ret = bpf_classic_text_parse(new->buf, prefix, &end, &text, &log);
	if (ret == -ENOEXEC || (ret < 0 && looks_like_c(new->buf, prefix))) {
		ret = not_elf(new, req, -ENOEXEC, new->buf, prefix);
	} else if (ret < 0) {
		char why[256];

		snprintf(why, sizeof(why), "not the text of tcpdump -ddd: %.*s",
			 (int)strcspn(bpf_log_text(&log), "\n"), bpf_log_text(&log));
		ret = refuse(new, req, ret, why);
	} else if (ret) {
		loaded(new, req, load_classic(req, dir, &text, new->umask, &report), &report);
		bpf_classic_text_free(&text);
		ret = 0;
	}
	bpf_log_free(&log);
	return ret;
}

static ssize_t new_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			 off_t off)
{
	struct newprog *new = open->priv;
	size_t prefix;
	int err;

	if (!len)
		return 0;
	if (new->done &&new->verdict)
		return fs_error(req, -new->verdict,
				"the object written before was refused: open progs/new again for "
				"another; progs/log says why");
	if (new->done) /* padding, or what a retry repeats */
		return len;
	if (off < 0)
		return -EINVAL;
	err = add_bytes(open, req, buf, len,
			open->flags & O_APPEND ? new->end_written : (size_t)off);
	if (err == -EFBIG) {
		err = refuse(new, req, err,
			     "an object has at most 64 MiB, without thousands of holes");
		drop_bytes(open);
	}
	if (err)
		return err;
	prefix = new->have[0].from ? 0 : new->have[0].to;
	if (prefix <= new->asked)
		return len;
	new->asked = prefix;
	err = look_for_type(new, req, prefix);
	if (err)
		err = min(err, 0); /* what is not whole waits */
	else if (!new->skip && bpf_classic_text_begins(new->buf[0]))
		err = look_for_text(new, req, fs_node_base(open->node), prefix);
	else
		err = look_for_elf(new, req, fs_node_base(open->node), prefix);
	if (new->done)
		drop_bytes(open);
	if (err)
		return err;
	return new->done &&new->verdict ? new->verdict : (ssize_t)len;
}

static int new_flush(struct fs_open *open, struct fs_req *req)
{
	struct newprog *new = open->priv;
	struct fs_text report = {0};
	bool text;

	if (new->done || !new->end_written)
		return 0;
	text = bpf_classic_text_begins(new->buf[0]);
	fs_text_printf(
		&report,
		"verdict: incomplete\nreason: the object ends beyond the %zu bytes that were "
		"written; nothing was loaded\n",
		new->end_written);
	report_set(REPORT_LOAD, req->cred.uid, &report);
	return fs_error(req, EINVAL,
			"the object is not complete: %zu bytes were written and more belong to "
			"it%s",
			new->end_written,
			text ? " (the text of tcpdump -ddd ends with a newline)" : "");
}

static enum limit new_is_long(struct fs_open *open, enum job_what what)
{
	return what == JOB_WRITE ? LIMIT_VERIFY_SECONDS : LIMIT_CNT;
}

static void new_keep(struct fs_open *open, struct kept *kept)
{
	const struct newprog *new = open->priv;

	kept->lost = new->end_written && !new->done;
	kept->v[0] = new->umask;
	kept->v[1] = new->done;
	kept->v[2] = (u64)(s64) new->verdict;
	kept->v[3] = new->end_written;
}

static void new_restore(struct fs_open *open, const struct kept *kept)
{
	struct newprog *new = open->priv;

	new->umask = (mode_t)kept->v[0];
	new->done = kept->v[1];
	new->verdict = (int)(s64)kept->v[2];
	new->end_written = new->done ? kept->v[3] : 0;
}

static void new_release(struct fs_open *open)
{
	struct newprog *new = open->priv;

	free(new->buf);
	free(new->have);
	free(new);
}

const struct fs_node_ops newprog_ops = {
	.name = "new",
	.type = S_IFREG,
	.slow = true,
	.is_long = new_is_long,
	.fresh = true,
	.cancel_on_kill_only = true,
	.getattr = own_file_getattr,
	.free = own_file_free,
	.open = new_open,
	.write = new_write,
	.flush = new_flush,
	.release = new_release,
	.keep = new_keep,
	.restore = new_restore,
};
