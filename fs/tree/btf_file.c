/*
 * btf_file.c - ids/btf: types as files (see btf_file.h)
 */
#include <stdio.h>
#include "fs/ioctl/commands/call.h"
#include "fs/ioctl/ioctl.h"
#include "fs/tree/btf_file.h"

static struct bpf_btf *btf_of_node(const struct fs_node *node)
{
	u32 id;

	memcpy(&id, node->key, sizeof(id));
	return bpf_btf_get_by_id(id);
}

static u64 btf_size(struct fs_node *node, struct fs_req *req)
{
	struct bpf_btf *btf = btf_of_node(node);
	u32 size = 0;

	if (btf)
		bpf_btf_raw(btf, &size);
	bpf_btf_put(btf);
	return size;
}

static int btf_getattr(struct fs_node *node, struct stat *st)
{
	struct bpf_btf *btf = btf_of_node(node);

	if (!btf)
		return -ENOENT;
	st->st_mode = S_IFREG | 0400;
	st->st_uid = btf->uid;
	st->st_nlink = 1;
	bpf_btf_put(btf);
	return 0;
}

static int btf_open(struct fs_open *open, struct fs_req *req)
{
	struct bpf_btf *btf = btf_of_node(open->node);

	return btf ? control_open_types(open, req, btf) : -ENOENT;
}

/* Its bytes are the raw BTF: what bpftool and pahole read as a file, too. */
static ssize_t btf_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	const struct control *c = open->priv;
	u32 size;
	const char *data = bpf_btf_raw(c->btf, &size);

	if (!data)
		return -ENOMEM;
	if (off >= size)
		return 0;
	len = min(len, (size_t)(size - off));
	memcpy(buf, data + off, len);
	return len;
}

static void btf_key_name(const struct fs_node *node, struct fs_text *out)
{
	u32 id;

	memcpy(&id, node->key, sizeof(id));
	fs_text_printf(out, "%u", id);
}

static const struct fs_node_ops btf_file_ops = {
	.name = "types",
	.type = S_IFREG,
	.key_name = btf_key_name,
	.open = btf_open,
	.size = btf_size,
	.read = btf_read,
	.command = control_btf_command,
	.ioctl = control_ioctl,
	.release = control_release,
	.keep = control_keep,
	.restore = control_restore,
	.getattr = btf_getattr,
};
FS_KIND(btf_file_ops, "types");

int btf_lookup(struct fs_node *dir, u32 id, struct fs_node **out)
{
	struct bpf_btf *btf = bpf_btf_get_by_id(id);
	int err = btf ? fs_node_keyed(dir, &btf_file_ops, &id, sizeof(id), out) : -ENOENT;

	bpf_btf_put(btf);
	return err;
}

/* The cursor is the last id given. */
int btf_readdir(struct fs_node *dir, u64 cursor, fs_emit_fn emit, void *arg)
{
	char name[16];
	u32 id = cursor;

	while ((id = bpf_btf_next_id(id))) {
		snprintf(name, sizeof(name), "%u", id);
		if (!emit(arg, name, id, S_IFREG, dir->ino << 32 | id))
			break;
	}
	return 0;
}
