/*
 * fsck.c - see fsck.h
 */
#include "fs/fsck.h"
#include "fs/caller/limits.h"
#include "fs/cgroups/cgroups.h"
#include "fs/store/names/lost_found.h"
#include "fs/store/names/read_back.h"
#include "fs/store/names/recovery.h"
#include "fs/store/link.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/object.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_open.h"
#include "fs/store/state/state_tree.h"
#include "fs/tree/limit_files.h"
#include "load.h"
#include "map/arena/arena.h"
#include "object/image.h"
#include "text/json_print.h"

#include <fcntl.h>
#include <stdio.h>

static bool looking;

static bool is_damaged(const struct store_object *obj);

/* ---- what the start has set aside */

static bool is_lost(enum store_kind kind, u32 id)
{
	struct store_object *obj;
	bool lost;

	if (store_by_id(kind, id, &obj))
		return true;
	lost = obj->broken && is_damaged(obj);
	store_put(obj);
	return lost;
}

static bool is_damaged_prog(int fd)
{
	struct bpf_image image;
	bool damaged = bpf_image_read(fd, &image);

	for (u32 i = 0; !damaged && i < image.attr.map_cnt; i++)
		if (is_lost(STORE_MAP, image.map_ids[i])) {
			bpf_image_free(&image);
			return true;
		}
	if (!damaged)
		bpf_image_free(&image);
	return damaged;
}

/* Not what is sound, and not for this build: a program that its verifier refuses. */
static bool is_damaged(const struct store_object *obj)
{
	__do_close int fd = store_part_open(obj->id, STORE_OBJECT, O_RDONLY);
	struct link_state state;

	if (fd < 0 || obj->kind == STORE_MAP)
		return true;
	if (obj->kind == STORE_PROG)
		return is_damaged_prog(fd);
	return store_link_read(fd, &state) || is_lost(STORE_PROG, state.prog_id);
}

static enum remedy put_away(int err, const char *path)
{
	if (!err)
		return REMEDY_MOVED;
	state_problem(path, "lost+found", REMEDY_NONE, "it could not be moved: %s", strerror(-err));
	return REMEDY_NONE;
}

static void check_object(const struct store_object *obj, bool damaged)
{
	static const char *const rules[] = {
		[STORE_PROG] = "program", [STORE_MAP] = "map", [STORE_LINK] = "link"};
	enum remedy remedy = REMEDY_NONE;
	char path[64];

	snprintf(path, sizeof(path), "objects/%u", obj->id);
	if (damaged)
		remedy = looking ? REMEDY_MOVED
				 : put_away(lost_found_object(obj, obj->broken), path);
	state_problem(path, rules[obj->kind], remedy, "%s", obj->broken);
}

/* Links before programs, and these before maps: what is lost is seen by who needs it. */
static void check_objects(void)
{
	static const enum store_kind order[] = {STORE_LINK, STORE_PROG, STORE_MAP};
	struct store_object *obj;

	for (u32 i = 0; i < ARRAY_SIZE(order); i++)
		for (u32 id = 0; !store_next(order[i], id, &obj);) {
			id = obj->id;
			if (obj->broken)
				check_object(obj, is_damaged(obj));
			store_put(obj);
		}
}

/* ---- names that a start leaves as they are */

static int check_name(void *arg, const char *path, const struct stat *st)
{
	struct store_object *obj;
	__do_free char *from = NULL;
	enum remedy remedy = REMEDY_MOVED;

	if (!store_by_ino(st->st_ino, &obj)) {
		store_put(obj);
		return 0;
	}
	if (asprintf(&from, "tree/%s", path) < 0)
		return -ENOMEM;
	if (!looking)
		remedy = put_away(lost_found_file(from, "it is a name of no object"), from);
	state_problem(from, "name", remedy, "it is a name of no object");
	return 0;
}

/* What is nothing of ours, and stood where objects are. */
static void move_strangers(void)
{
	for (struct problem *p = problems_first(); p; p = p->next)
		if ((!strcmp(p->rule, "foreign") || !strcmp(p->rule, "companion")) &&
		    !strncmp(p->path, "objects/", strlen("objects/")))
			p->remedy = looking ? REMEDY_MOVED
					    : put_away(lost_found_file(p->path, p->text), p->path);
}

static int check_all(void)
{
	int err = limit_files_start();

	if (!err)
		err = store_start();
	if (!err)
		err = read_back_all();
	if (!err)
		err = cgroups_start(NULL);
	if (err)
		return err;
	check_objects();
	err = lost_found_names(check_name, NULL);
	move_strangers();
	return err;
}

/* ---- the report */

static const char *remedy_words(enum remedy remedy)
{
	switch (remedy) {
	case REMEDY_DONE:
		return looking ? "would be repaired" : "repaired";
	case REMEDY_MOVED:
		return looking ? "would be moved to lost+found" : "moved to lost+found";
	default:
		return "left as it is";
	}
}

static void print_json(struct fs_text *out, const struct problem *p, bool first)
{
	const struct {
		const char *name, *value;
	} members[] = {{"path", p->path},
		       {"rule", p->rule},
		       {"problem", p->text},
		       {"remedy", remedy_words(p->remedy)}};

	fs_text_printf(out, "%s\n    {", first ? "" : ",");
	for (u32 i = 0; i < ARRAY_SIZE(members); i++) {
		fs_text_printf(out, "%s\"%s\": ", i ? ", " : "", members[i].name);
		json_string(out, members[i].value, strlen(members[i].value));
	}
	fs_text_printf(out, ", \"left\": %s}", p->remedy == REMEDY_NONE ? "true" : "false");
}

static int report(const char *state, bool json)
{
	u32 found = 0, left = 0;
	struct fs_text out = {0};

	if (json)
		fs_text_printf(&out, "{\"problems\": [");
	for (const struct problem *p = problems_first(); p; p = p->next) {
		if (problem_said_again(p))
			continue;
		found++;
		left += p->remedy == REMEDY_NONE;
		if (json)
			print_json(&out, p, found == 1);
		else
			fs_text_printf(&out, "%s: %s: %s: %s\n", p->path, p->rule, p->text,
				       remedy_words(p->remedy));
	}
	if (json)
		fs_text_printf(&out, "], \"found\": %u, \"left\": %u}\n", found, left);
	else if (found)
		fs_text_printf(&out, "%s: %u problems, of which %u are left\n", state, found, left);
	else
		fs_text_printf(&out, "%s: clean\n", state);
	fwrite(out.buf, 1, out.len, stdout);
	if (out.err || problems_lost())
		return FSCK_ERROR;
	fs_text_free(&out);
	/* What only looks has repaired nothing. */
	return left || (looking && found) ? FSCK_LEFT : found ? FSCK_REPAIRED : FSCK_CLEAN;
}

static int failed(struct error_record *why, int err)
{
	fprintf(stderr, "ubpffs: %s\n", error_why(why, err));
	error_clear(why);
	tree_close();
	return FSCK_ERROR;
}

/* A start would make one of any directory. */
static bool is_state(const char *path)
{
	__do_close int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir >= 0 && (tree_has(dir, "objects") > 0 || tree_has(dir, "tree") > 0);
}

int fsck(const char *state, bool look, bool json)
{
	struct error_record why = {0};
	int err, status;

	looking = look;
	if (!is_state(state)) {
		fprintf(stderr, "ubpffs: %s: this is no state directory\n", state);
		return FSCK_ERROR;
	}
	problems_collect();
	if (look)
		durable_look_only();
	bpf_arena_private = look;
	err = look ? tree_open_to_look(state, &why) : tree_open(state, "nowhere, by fsck", &why);
	if (!err && !look)
		err = durable_start(DURABLE_CLOSE, tree.dir_fd);
	if (err)
		return failed(&why, err);
	limits_size_defaults(tree.dir_fd);
	bpf_load_share_mem(limits_all(LIMIT_VERIFY_MEMORY));
	err = check_all();
	if (err)
		error_set(&why, -err, "%s: it cannot be read: %s", state, strerror(-err));
	if (!err && !look)
		err = durable_settle(&why);
	status = err ? FSCK_ERROR : report(state, json);
	store_keep_files(true);
	cgroups_stop();
	store_stop();
	if (err)
		return failed(&why, err);
	tree_close();
	return status;
}
