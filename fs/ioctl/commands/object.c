/*
 * object.c - commands on any object: info, pins, tokens, ids
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include "run/run.h"
#include "util/hex.h"
#include "map/syscall.h"
#include "fs/lib/hash.h"
#include "fs/ioctl/commands/btf.h"
#include "fs/ioctl/commands/link.h"
#include "fs/ioctl/commands/object.h"
#include "fs/keeper/requests.h"
#include "fs/ioctl/commands/prog_parts.h"
#include "fs/store/resolve.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/names.h"

/*
 * ---- tokens: a random number for an open map, so that a load can name it and nobody can guess it
 */

struct token {
	struct hash_link link; /* by its number */
	bool rdonly; /* so was the descriptor opened */
	struct bpf_map *map; /* the open description keeps it alive, and forgets the token first */
};

static pthread_mutex_t token_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hash_table tokens;

int control_obj_token(struct control_call *call)
{
	struct control *c = call->control;
	struct token *token;
	struct bpf_map *map;
	u64 number;
	int err;

	if (c->obj->kind != STORE_MAP)
		return -EINVAL;
	err = control_map(call, O_RDONLY, &map); /* programs always read */
	if (err)
		return err;
	token = malloc(sizeof(*token));
	if (!token)
		return -ENOMEM;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number) || !number) {
		free(token);
		return -EAGAIN;
	}
	pthread_mutex_lock(&token_lock);
	if (!c->token) {
		token->map = map;
		token->rdonly = control_map(call, O_WRONLY, &map) != 0;
		hash_add(&tokens, &token->link, number);
		c->token = number;
		token = NULL;
	}
	control_answer(call, &c->token, sizeof(c->token));
	pthread_mutex_unlock(&token_lock);
	free(token); /* it had one already */
	return 0;
}

void control_restore_token(struct control *c, u64 number, bool rdonly)
{
	struct token *token = malloc(sizeof(*token));

	if (!token)
		return;
	*token = (struct token){.rdonly = rdonly, .map = c->obj->map};
	pthread_mutex_lock(&token_lock);
	hash_add(&tokens, &token->link, number);
	c->token = number;
	pthread_mutex_unlock(&token_lock);
}

void control_drop_token(struct control *c)
{
	struct hash_link *link;

	if (!c->token)
		return;
	pthread_mutex_lock(&token_lock);
	link = hash_find(&tokens, c->token);
	hash_remove(&tokens, link);
	pthread_mutex_unlock(&token_lock);
	free(container_of(link, struct token, link));
}

struct bpf_map *control_map_by_token(u64 number, bool *rdonly)
{
	struct bpf_map *map = NULL;
	struct hash_link *link;

	pthread_mutex_lock(&token_lock);
	link = hash_find(&tokens, number);
	if (link) {
		const struct token *token = container_of(link, struct token, link);

		map = token->map;
		*rdonly = token->rdonly;
		bpf_map_inc(map);
	}
	pthread_mutex_unlock(&token_lock);
	return map;
}

/* ---- info */

static int map_info(struct control_call *call)
{
	struct bpf_map_info info = {0};
	struct bpf_map *map;
	int err = control_map(call, CONTROL_ANY, &map);

	if (err)
		return err;
	info.type = map->map_type;
	info.id = map->id;
	info.key_size = map->key_size;
	info.value_size = map->value_size;
	info.max_entries = map->max_entries;
	info.map_flags = map->map_flags;
	info.map_extra = map->map_extra;
	info.btf_id = control_btf_id(call, map->btf);
	if (info.btf_id) {
		info.btf_key_type_id = map->btf_key_type_id;
		info.btf_value_type_id = map->btf_value_type_id;
	}
	memcpy(info.name, map->name, sizeof(info.name));
	call->io.count = map->ops->percpu ? bpf_nr_slots() : 0;
	control_answer(call, &info, sizeof(info));
	return 0;
}

static int prog_info(struct control_call *call)
{
	struct bpf_prog_info info = {0};
	struct bpf_prog *prog;
	struct stat st;
	int err = control_prog(call, CONTROL_ANY, &prog);

	if (err)
		return err;
	info.type = prog->type;
	info.id = prog->id;
	memcpy(info.tag, prog->tag, sizeof(info.tag));
	info.jited_prog_len = prog->jited_len;
	info.xlated_prog_len = prog->len * sizeof(struct bpf_insn);
	info.load_time = prog->load_time;
	info.nr_map_ids = bpf_prog_nr_maps(prog);
	info.gpl_compatible = prog->gpl_compatible;
	info.btf_id = control_btf_id(call, prog->btf);
	control_prog_counts(call, prog, &info);
	info.verified_insns = prog->verified_insns;
	info.run_cnt = READ_ONCE(prog->run_cnt);
	info.run_time_ns = READ_ONCE(prog->run_time_ns);
	memcpy(info.name, prog->name, sizeof(info.name) - 1);
	if (!store_stat(call->control->obj, &st))
		info.created_by_uid = st.st_uid;
	control_answer(call, &info, sizeof(info));
	return 0;
}

int control_obj_get_info(struct control_call *call)
{
	if (call->control->btf)
		return control_btf_info(call);
	switch (call->control->obj->kind) {
	case STORE_MAP:
		call->io.flags = UBPFFS_MAP;
		return map_info(call);
	case STORE_PROG:
		call->io.flags = UBPFFS_PROG;
		return prog_info(call);
	default:
		return control_link_info(call);
	}
}

/* ---- fdinfo: what Linux prints in bpf_map_show_fdinfo() and bpf_prog_show_fdinfo() */

static int map_fdinfo(struct control_call *call, char *text, size_t size)
{
	struct bpf_map *map;
	int err = control_map(call, CONTROL_ANY, &map);

	if (err)
		return err;
	return snprintf(text, size,
			"map_type:\t%u\nkey_size:\t%u\nvalue_size:\t%u\nmax_entries:\t%u\n"
			"map_flags:\t%#x\nmap_extra:\t%#llx\nmemlock:\t%llu\nmap_id:\t%u\n"
			"frozen:\t%u\n",
			map->map_type, map->key_size, map->value_size, map->max_entries,
			map->map_flags, (unsigned long long)map->map_extra,
			(unsigned long long)bpf_map_mem_usage(map), map->id,
			READ_ONCE(map->frozen));
}

static int prog_fdinfo(struct control_call *call, char *text, size_t size)
{
	struct bpf_prog *prog;
	char tag[2 * BPF_TAG_SIZE + 1], *at = tag;
	int err = control_prog(call, CONTROL_ANY, &prog);

	if (err)
		return err;
	for (u32 i = 0; i < BPF_TAG_SIZE; i++)
		at = hex_byte(at, prog->tag[i]);
	*at = 0;
	return snprintf(text, size,
			"prog_type:\t%u\nprog_jited:\t%u\nprog_tag:\t%s\nmemlock:\t%llu\n"
			"prog_id:\t%u\nrun_time_ns:\t%llu\nrun_cnt:\t%llu\n"
			"recursion_misses:\t0\nverified_insns:\t%u\n",
			prog->type, prog->jited_len != 0, tag,
			(unsigned long long)round_up(prog->len * sizeof(struct bpf_insn), 4096ul),
			prog->id, (unsigned long long)READ_ONCE(prog->run_time_ns),
			(unsigned long long)READ_ONCE(prog->run_cnt), prog->verified_insns);
}

static int any_fdinfo(struct control_call *call, char *text, size_t size)
{
	if (call->control->btf)
		return snprintf(text, size, "btf_id:\t%u\n", call->control->btf->id);
	switch (call->control->obj->kind) {
	case STORE_MAP:
		return map_fdinfo(call, text, size);
	case STORE_PROG:
		return prog_fdinfo(call, text, size);
	default:
		return control_link_fdinfo(call, text, size);
	}
}

int control_obj_fdinfo(struct control_call *call)
{
	char text[1024];
	int n = any_fdinfo(call, text, sizeof(text));

	if (n < 0)
		return n;
	control_answer(call, text, min((size_t)n, sizeof(text) - 1));
	return 0;
}

/* ---- pins and ids */

enum { WAS_ABSENT = 1, WAS_THERE };

int control_obj_pin(struct control_call *call)
{
	const char *path = call->in;
	char *name;
	int dir, err;

	if (!call->in_len || path[call->in_len - 1])
		return -EINVAL;
	err = resolve_may_link(call->req, call->control->obj);
	if (err)
		return err;
	tree_wrlock();
	dir = resolve_parent(call->req, path, &name);
	if (dir >= 0) {
		u64 before = requests_intended(call->req->unique);

		if (!before)
			requests_intent(call->req->unique,
					tree_has(dir, name) ? WAS_THERE : WAS_ABSENT);
		err = store_link(call->control->obj, dir, name, fs_why(call->req));
		if (err == -EEXIST && before == WAS_ABSENT) { /* made before, and not answered */
			error_clear(&call->req->error);
			err = 0;
		}
		close(dir);
		free(name);
	} else {
		err = dir;
	}
	tree_unlock();
	return err;
}

int control_get_next_id(struct control_call *call)
{
	struct store_object *obj;
	enum store_kind kind;
	u32 found;
	int err;

	if (call->io.flags == BPF_BTF_GET_NEXT_ID)
		return control_btf_next_id(call);
	if (call->io.flags == BPF_MAP_GET_NEXT_ID)
		kind = STORE_MAP;
	else if (call->io.flags == BPF_PROG_GET_NEXT_ID)
		kind = STORE_PROG;
	else if (call->io.flags == BPF_LINK_GET_NEXT_ID)
		kind = STORE_LINK;
	else
		return -EINVAL;
	err = store_next(kind, call->io.count, &obj);
	if (err)
		return err;
	found = obj->id;
	store_put(obj);
	control_answer(call, &found, sizeof(found));
	return 0;
}
