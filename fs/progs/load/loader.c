/*
 * loader.c - see loader.h
 *
 * Names: a program has its C name. A map has its C name, a data section that of the object's first
 * program in front (count.rodata). A map that exists is taken as it is when the definition says
 * pin-by-name or mkdir made it, the definitions agree, and the caller may read and write it; any
 * other name that exists is EEXIST.
 */
#include "fs/progs/load/loader.h"
#include "fs/progs/load/constants.h"
#include "fs/store/load_dir.h"
#include "fs/caller/limits.h"
#include "fs/caller/strict.h"
#include "fs/maps/definition.h"
#include "fs/caller/caller.h"
#include "fs/keeper/requests.h"
#include "fs/store/names/publish.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/create.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/files.h"
#include "classic/text.h"
#include "load.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

struct load {
	struct fs_req *req;
	mode_t umask;
	int dir; /* descriptor of progs/, or of the load directory */
	char progs[LOAD_DIR_MAX], maps[LOAD_DIR_MAX + 8]; /* where names go, from M */
	const struct bpf_map *typed; /* a map of this load whose types are stored */
};

static void map_name(const struct bpf_object_file *obj, u32 index, char *buf, size_t len)
{
	const struct bpf_object_map *map = &obj->maps[index];

	if (map->kind == BPF_OBJECT_MAP_DATA)
		snprintf(buf, len, "%s%s", obj->prog_cnt ? obj->progs[0].name : "object",
			 map->name);
	else
		snprintf(buf, len, "%s", map->name);
}

/* ---- binding to a map that exists */

/* The first attribute in which the map is not what the object asks for; 0: they agree. */
static int compare_spec(struct load *load, const char *name, const struct bpf_map *map,
			const struct bpf_map_spec *spec)
{
	const struct {
		const char *name;
		u64 has, wants;
	} attrs[] = {
		{"key_size", map->key_size, spec->key_size},
		{"value_size", map->value_size, spec->value_size},
		{"max_entries", map->max_entries, spec->max_entries},
		{"map_flags", map->map_flags, spec->map_flags},
		{"map_extra", map->map_extra, spec->map_extra},
		{"the end of the struct bpf_spin_lock in its values",
		 map->spin_lock_off >= 0 ? map->spin_lock_off + sizeof(struct bpf_spin_lock) : 0,
		 spec->spin_lock_end},
	};

	if (map->map_type != spec->map_type)
		return fs_error(load->req, EINVAL,
				"%s/%s exists and differs in type: it is %s, the object wants %s",
				load->maps, name, bpf_map_type_name(map->map_type),
				bpf_map_type_name(spec->map_type) ?: "an unknown type");
	for (u32 i = 0; i < ARRAY_SIZE(attrs); i++)
		if (attrs[i].has != attrs[i].wants)
			return fs_error(load->req, EINVAL,
					"%s/%s exists and differs in %s: it has %llu, the object "
					"wants %llu",
					load->maps, name, attrs[i].name,
					(unsigned long long)attrs[i].has,
					(unsigned long long)attrs[i].wants);
	return 0;
}

/* May the caller use the map at this name? The path's search permission, then the map's bits. */
static int bind_allowed(struct load *load, int maps, int dir, const char *name,
			struct store_object *obj)
{
	const struct fs_cred *cred = &load->req->cred;
	struct stat st;

	if (!fstatat(maps, "", &st, AT_EMPTY_PATH) && !perm_check(cred, &st, X_OK) &&
	    !fstatat(dir, "", &st, AT_EMPTY_PATH) && !perm_check(cred, &st, X_OK) &&
	    !store_stat(obj, &st) && !perm_check(cred, &st, R_OK | W_OK))
		return 0;
	return fs_error(load->req, EACCES,
			"%s/%s exists and its permission bits do not let you read and write it",
			load->maps, name);
}

/*
 * 0 and *out: bound. -ENOENT: the name is free. -EAGAIN and *asleep: after that one is awake.
 * tree_rdlock is held.
 */
static int __bind(struct load *load, int maps, const struct bpf_object_map *want, const char *name,
		  const struct bpf_map_spec *spec, struct bpf_map **out,
		  struct store_object **asleep)
{
	__do_close int dir = tree_openat(maps, name);
	struct store_object *obj;
	int err, mkdir_made;
	struct stat st;

	if (dir < 0)
		return dir;
	mkdir_made = tree_has(dir, MAPDEF_FILE);
	if (mkdir_made < 0)
		return mkdir_made;
	if (fstatat(dir, "map", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return -errno;
		if (!mkdir_made)
			return -ENOENT; /* dropped, not removed yet: publishing replaces it */
		return fs_error(load->req, EEXIST,
				"%s/%s is being defined and not alive yet: finish it or remove it",
				load->maps, name);
	}
	if (!want->pin_by_name && !mkdir_made)
		return fs_error(load->req, EEXIST,
				"%s/%s exists: remove it (rm -r), rename it, or give the map "
				"pinning by name (LIBBPF_PIN_BY_NAME) to share it",
				load->maps, name);
	err = store_by_ino(st.st_ino, &obj);
	if (err)
		return err;
	if (store_is_asleep(obj)) {
		*asleep = obj;
		return -EAGAIN;
	}
	if (obj->kind != STORE_MAP || obj->broken)
		err = fs_error(load->req, EBADMSG, "%s/%s: %s", load->maps, name,
			       obj->broken ? obj->broken : "not a map");
	if (!err)
		err = bind_allowed(load, maps, dir, name, obj);
	if (!err)
		err = compare_spec(load, name, obj->map, spec);
	if (err)
		store_put(obj);
	else
		*out = obj->map;
	return err;
}

static int open_maps(const struct load *load)
{
	int fd = openat(tree.tree_fd, load->maps, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int bind(struct load *load, const struct bpf_object_map *want, const char *name,
		const struct bpf_map_spec *spec, struct bpf_map **out)
{
	struct store_object *asleep;
	int maps, err;

	do {
		asleep = NULL;
		tree_rdlock();
		maps = open_maps(load);
		err = maps < 0 ? maps : __bind(load, maps, want, name, spec, out, &asleep);
		tree_unlock();
		if (maps >= 0)
			close(maps);
		if (asleep)
			err = store_wake(asleep);
		store_put(asleep);
	} while (asleep && !err);
	return err;
}

/* Its types outlive this server, as the map does. */
static int keep_types(struct load *load, const struct bpf_object_file *obj, struct bpf_map *map)
{
	int err;

	if (!obj->btf || (!map->btf_key_type_id && !map->btf_value_type_id))
		return 0;
	err = store_map_btf(map, obj->btf, load->typed, fs_why(load->req));
	if (!err)
		load->typed = map;
	return err;
}

/* A limit speaks for itself. */
static void map_error(struct load *load, int err, const char *name)
{
	char about[NAME_MAX + sizeof("map ")];

	snprintf(about, sizeof(about), "map %s", name);
	if (err != -EDQUOT)
		error_about(fs_why(load->req), err, about);
}

/* bpf_object_load()'s question for each map */
static int load_get_map(void *priv, const struct bpf_object_file *obj, u32 index,
			const struct bpf_map_spec *spec, struct bpf_map **map, bool *existing,
			struct bpf_log *log)
{
	struct load *load = priv;
	char name[NAME_MAX + 1];
	int err;

	map_name(obj, index, name, sizeof(name));
	if (!tree_name_ok(name))
		return fs_error(load->req, EINVAL, "\"%s\" cannot be a map's name", name);
	*existing = true;
	err = obj->maps[index].kind == BPF_OBJECT_MAP_INNER
		      ? -ENOENT /* a template is the load's own */
		      : bind(load, &obj->maps[index], name, spec, map);
	if (err != -ENOENT)
		return err;
	*existing = false;
	if (bpf_map_type_name(spec->map_type) && !bpf_map_ops_find(spec->map_type))
		return fs_error(load->req, EOPNOTSUPP,
				"map %s: this build has no map type %s; M/features lists those "
				"that it has",
				name, bpf_map_type_name(spec->map_type));
	err = mapdef_check(spec, fs_why(load->req));
	if (!err)
		err = store_map_create(spec, &load->req->cred, 0666 & ~load->umask, map,
				       fs_why(load->req));
	if (!err) {
		err = keep_types(load, obj, *map);
		if (err) {
			bpf_map_put(*map);
			*map = NULL;
		}
	}
	if (err)
		map_error(load, err, name);
	return err;
}

static u32 load_get_prog_id(void *priv)
{
	return store_next_id();
}

/* ---- names */

/* The caller may make names in progs/ (it could open new) and, if there are maps, in maps/. */
static int may_name_maps(struct load *load, const struct bpf_loaded *loaded)
{
	struct stat st;
	bool any = false;

	for (u32 i = 0; i < loaded->file->map_cnt; i++)
		any |= !loaded->map_existing[i];
	if (!any)
		return 0;
	if (fstatat(tree.tree_fd, load->maps, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!perm_check(&load->req->cred, &st, W_OK | X_OK))
		return 0;
	return fs_error(load->req, EACCES,
			"the permission bits of %s/ do not let you make maps there", load->maps);
}

static int add_progs(struct load *load, struct publish *pub, struct bpf_loaded *loaded)
{
	for (u32 i = 0; i < loaded->file->prog_cnt; i++) {
		const char *name = loaded->file->progs[i].name;
		int err;

		if (!tree_name_ok(name) || name[0] == '.')
			return fs_error(load->req, EINVAL, "\"%s\" cannot be a program's name",
					name);
		if (load_dir_own_name(name))
			return fs_error(
				load->req, EEXIST,
				"a program cannot be called %s: that is the filesystem's own name",
				name);
		err = store_prog_add(loaded->progs[i], &load->req->cred, 0666 & ~load->umask,
				     fs_why(load->req));
		if (!err)
			err = publish_add(pub, store_of_prog(loaded->progs[i]), name, NULL,
					  fs_why(load->req));
		if (err)
			return err;
	}
	return 0;
}

static int add_maps(struct load *load, struct publish *pub, struct bpf_loaded *loaded)
{
	struct fs_text ids = {0};
	int err = 0;

	for (u32 i = 0; i < loaded->file->prog_cnt; i++)
		fs_text_printf(&ids, "%u\n", loaded->progs[i]->id);
	for (u32 i = 0; !err && !ids.err && i < loaded->file->map_cnt; i++) {
		char name[NAME_MAX + 1];
		bool keep = loaded->file->maps[i].pin_by_name || !ids.len;

		if (loaded->map_existing[i] || loaded->file->maps[i].kind == BPF_OBJECT_MAP_INNER)
			continue;
		map_name(loaded->file, i, name, sizeof(name));
		err = publish_add(pub, store_of_map(loaded->maps[i]), name, keep ? NULL : ids.buf,
				  fs_why(load->req));
	}
	err = err ? err : ids.err;
	fs_text_free(&ids);
	return err;
}

static int load_names(struct load *load, struct bpf_loaded *loaded)
{
	struct publish *pub;
	int err = may_name_maps(load, loaded);

	if (err)
		return err;
	err = publish_begin(&load->req->cred, load->umask, load->progs, load->maps, &pub,
			    fs_why(load->req));
	if (err)
		return err;
	err = add_progs(load, pub, loaded);
	if (!err)
		err = add_maps(load, pub, loaded);
	if (!err) {
		requests_intent(load->req->unique, publish_number(pub));
		err = publish_commit(pub, fs_why(load->req));
	}
	publish_end(pub);
	return err;
}

/* ---- the report */

static void report_names(const struct load *load, const struct bpf_loaded *loaded,
			 struct fs_text *report)
{
	for (u32 i = 0; i < loaded->file->prog_cnt; i++)
		fs_text_printf(report, "prog: %s/%s (id %u)\n", load->progs,
			       loaded->file->progs[i].name, loaded->progs[i]->id);
	for (u32 i = 0; i < loaded->file->map_cnt; i++) {
		char name[NAME_MAX + 1];

		if (loaded->file->maps[i].kind == BPF_OBJECT_MAP_INNER)
			continue;
		map_name(loaded->file, i, name, sizeof(name));
		fs_text_printf(report, "map: %s/%s (id %u%s)\n", load->maps, name,
			       loaded->maps[i]->id,
			       loaded->map_existing[i] ? ", existed before" : "");
	}
}

static void load_report(struct load *load, int err, const struct bpf_loaded *loaded,
			struct fs_text *report)
{
	const char *text = bpf_log_text(&loaded->report);

	if (err)
		fs_text_printf(report, "verdict: refused, %s (%s)\n", strerrorname_np(-err),
			       strerror(-err));
	else
		fs_text_printf(report, "verdict: loaded\n");
	if (load->req->error.err)
		fs_text_printf(report, "reason: %s\n", error_why(&load->req->error, err));
	else if (err && !*loaded->error.prog && *loaded->error.reason)
		fs_text_printf(report, "reason: %s\n", loaded->error.reason);
	if (err && !*loaded->error.prog && loaded->error.hint)
		fs_text_printf(report, "hint: %s\n", loaded->error.hint);
	if (!err)
		report_names(load, loaded, report);
	if (*text)
		fs_text_printf(report, "\n%s", text);
	if (report->len && report->buf[report->len - 1] != '\n')
		fs_text_append(report, "\n", 1);
}

/* The engine's own sentence, for the line in M/log. */
static void say_why(struct fs_req *req, int err, const struct bpf_load_error *error)
{
	if (*error->prog)
		fs_error(req, -err, "%s: %s; progs/log has the rest", error->prog, error->reason);
	else if (*error->reason)
		fs_error(req, -err, "%s; progs/log has the rest", error->reason);
}

static int load_prepare(void *priv, struct bpf_object_file *obj)
{
	struct load *load = priv;

	return constants_apply(load->req, load->dir, obj);
}

static struct bpf_object_load_opts load_opts(struct load *load)
{
	return (struct bpf_object_load_opts){
		.get_map = load_get_map,
		.get_prog_id = load_get_prog_id,
		.prepare = load_prepare,
		.priv = load,
		.prog_flags = strict_flags(load->req->cred.uid),
		.cancel = &load->req->cancel,
	};
}

/* The engine has made everything, or err says why not: names and the report. Frees `loaded`. */
static int load_finish(struct load *load, int err, struct bpf_loaded *loaded,
		       struct fs_text *report)
{
	if (!err)
		err = load_names(load, loaded);
	else if (err == -EINTR)
		err = fs_cancel_error(load->req);
	load_report(load, err, loaded, report);
	if (err && !load->req->error.err)
		say_why(load->req, err, &loaded->error);
	bpf_loaded_free(loaded);
	return err;
}

/* By a server that did not live to say so. */
static bool loaded_before(struct fs_req *req, struct fs_text *report)
{
	if (!req->unique || !requests_intended(req->unique))
		return false;
	fs_text_printf(report, "verdict: loaded\nreason: the server was replaced just after; each "
			       "program's log says more\n");
	return true;
}

static void load_begin(struct load *load, struct fs_node *dir)
{
	load->dir = fs_node_fd(dir);
	fs_node_path(dir, NULL, load->progs, sizeof(load->progs));
	if (strchr(load->progs, '/'))
		snprintf(load->maps, sizeof(load->maps), "%s/" LOAD_DIR_MAPS, load->progs);
	else
		snprintf(load->maps, sizeof(load->maps), "maps");
	publish_retry();
}

/* What is loaded: an ELF object, or else a classic filter. */
struct input {
	const void *elf;
	size_t len;
	const char *type; /* of an object's programs whose SEC() says none */
	const struct bpf_classic_text *text;
};

static int load(struct fs_req *req, struct fs_node *dir, const struct input *in, mode_t umask,
		struct fs_text *report)
{
	struct load load = {.req = req, .umask = umask};
	struct bpf_object_load_opts opts = load_opts(&load);
	struct bpf_loaded loaded = {0};
	int err;

	if (loaded_before(req, report))
		return 0;
	load_begin(&load, dir);
	opts.complete = in->elf;
	opts.type = in->type;
	err = in->elf ? bpf_object_load(in->elf, in->len, &opts, &loaded)
		      : bpf_classic_load(in->text, &opts, &loaded);
	if (err == -EINVAL && in->text && !*loaded.error.prog && *loaded.error.reason)
		fs_error(req, EINVAL, "%s", loaded.error.reason); /* the checker's */
	return load_finish(&load, err, &loaded, report);
}

int load_object(struct fs_req *req, struct fs_node *dir, const void *elf, size_t len,
		const char *type, mode_t umask, struct fs_text *report)
{
	return load(req, dir, &(struct input){.elf = elf, .len = len, .type = type}, umask, report);
}

int load_classic(struct fs_req *req, struct fs_node *dir, const struct bpf_classic_text *text,
		 mode_t umask, struct fs_text *report)
{
	return load(req, dir, &(struct input){.text = text}, umask, report);
}
