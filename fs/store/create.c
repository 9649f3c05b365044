/*
 * create.c - new objects: their files, owner, bits and charge, before anybody knows of them
 *
 * All or nothing: what fails takes back what it made. No locks but those of objects/.
 */
#include "fs/store/create.h"
#include "fs/store/objects/charge.h"
#include "fs/store/objects/files.h"
#include "fs/caller/limits.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_open.h"
#include "fs/store/state/state_tree.h"
#include "map/create.h"
#include "map/syscall.h"
#include "object/image.h"
#include "util/write_all.h"

#include <fcntl.h>

static int part_create(u32 id, enum store_part part, struct error_record *why)
{
	char name[32];
	int fd = openat(tree.objects_fd, store_part_name(id, part, name),
			O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return tree_error(why, errno, name);
	durable_dir(tree.objects_fd);
	durable_file(fd);
	return fd;
}

static int set_owner(int fd, const struct fs_cred *cred, mode_t mode, struct error_record *why)
{
	if (!tree.may_chown && cred->uid != geteuid())
		return tree_foreign(why, cred->uid);
	if ((tree.may_chown && fchown(fd, cred->uid, cred->gid) < 0) || fchmod(fd, mode & 0777) < 0)
		return tree_error(why, errno, "a new object");
	return 0;
}

/* objects/<id>, and the structure. */
static int file_create(u32 id, enum store_kind kind, const struct fs_cred *cred, mode_t mode,
		       struct store_object **obj, struct error_record *why)
{
	int fd = part_create(id, STORE_OBJECT, why), err;
	struct stat st;

	*obj = NULL;
	if (fd < 0)
		return fd;
	err = set_owner(fd, cred, mode, why);
	if (!err && fstat(fd, &st) < 0)
		err = -errno;
	if (!err) {
		*obj = store_object_new(id, kind, &st);
		err = *obj ? 0 : -ENOMEM;
	}
	if (!err)
		return fd;
	close(fd);
	store_remove_files(id);
	return err;
}

static int map_create(struct store_object *obj, const struct bpf_map_spec *spec, int fd,
		      struct bpf_map **out, struct error_record *why)
{
	__do_close int values = -1;
	int err;

	if (bpf_map_has_values_file(spec)) {
		values = part_create(obj->id, STORE_VALUES, why);
		if (values < 0)
			return values;
	}
	err = bpf_map_create(spec, obj->id, fd, values, out);
	if (err)
		return err;
	err = store_charge(obj, bpf_map_mem_usage(*out), why);
	if (err) {
		bpf_map_put(*out);
		*out = NULL;
	}
	return err;
}

int store_map_create(const struct bpf_map_spec *spec, const struct fs_cred *cred, mode_t mode,
		     struct bpf_map **out, struct error_record *why)
{
	struct store_object *obj;
	__do_close int fd = -1;
	int err;

	*out = NULL;
	/* Before anything is made of one too many; store_charge() then charges all of it. */
	err = limits_charge(cred->uid, LIMIT_OBJECTS, 1, why);
	if (err)
		return err;
	limits_uncharge(cred->uid, LIMIT_OBJECTS, 1);
	fd = file_create(store_next_id(), STORE_MAP, cred, mode, &obj, why);
	if (fd < 0)
		return fd;
	err = map_create(obj, spec, fd, out, why);
	if (err)
		store_file_drop(obj);
	else
		store_adopt_map(obj, *out);
	return err;
}

int store_map_btf(struct bpf_map *map, struct bpf_btf *btf, const struct bpf_map *same,
		  struct error_record *why)
{
	struct store_object *obj = store_of_map(map);
	__do_close int fd = -1;
	char name[32], from[32];
	const void *data;
	int err;
	u32 size;

	err = bpf_btf_publish(btf, obj->owner);
	if (err)
		return err;
	if (!same || durable_linkat(tree.objects_fd, store_part_name(same->id, STORE_BTF, from),
				    tree.objects_fd, store_part_name(map->id, STORE_BTF, name))) {
		data = bpf_btf_raw(btf, &size);
		if (!data)
			return -ENOMEM;
		fd = part_create(map->id, STORE_BTF, why);
		if (fd < 0)
			return fd;
		err = write_all(fd, data, size);
		if (err)
			return tree_error(why, -err, "the types of a map");
	}
	bpf_btf_inc(btf);
	map->btf = btf;
	return store_charge_types(obj, why);
}

int store_prog_add(struct bpf_prog *prog, const struct fs_cred *cred, mode_t mode,
		   struct error_record *why)
{
	struct store_object *obj;
	int err = tree_begin_version(2, why); /* the image's form */
	__do_close int fd = -1;

	if (err)
		return err;
	fd = file_create(prog->id, STORE_PROG, cred, mode, &obj, why);
	if (fd < 0)
		return fd;
	err = bpf_image_write(fd, prog);
	if (err)
		tree_error(why, -err, prog->name);
	else
		err = store_charge(obj, store_bytes(obj), why);
	if (err)
		store_file_drop(obj);
	else
		store_adopt_prog(obj, prog);
	return err;
}

int store_file_create(enum store_kind kind, const struct fs_cred *cred, mode_t mode,
		      struct store_object **out, struct error_record *why)
{
	struct store_object *obj;
	int fd = file_create(store_next_id(), kind, cred, mode, &obj, why), err;

	if (fd < 0)
		return fd;
	err = store_charge(obj, 0, why);
	if (err) {
		close(fd);
		store_file_drop(obj);
		return err;
	}
	*out = obj;
	return fd;
}

void store_file_drop(struct store_object *obj)
{
	store_remove_files(obj->id);
	store_object_drop(obj);
}
