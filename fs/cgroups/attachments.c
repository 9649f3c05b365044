/*
 * attachments.c - attachments as hidden links (see cgroups/attachments.h)
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/cgroups/attachments.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/names.h"

const char *const cgroup_type_names[MAX_CGROUP_BPF_ATTACH_TYPE] = {"ingress", "egress"};

static const struct {
	const char *word;
	u32 flags;
} flag_words[] = {
	{"override", BPF_F_ALLOW_OVERRIDE},
	{"multi", BPF_F_ALLOW_MULTI},
	{"exclusive", 0},
};

const char *cgroup_flags_word(u32 flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++)
		if (flag_words[i].flags == (flags & ~BPF_F_REPLACE))
			return flag_words[i].word;
	return "exclusive";
}

int cgroup_flags_of(const char *word, size_t n, u32 *flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++)
		if (n == strlen(flag_words[i].word) && !memcmp(word, flag_words[i].word, n)) {
			*flags = flag_words[i].flags;
			return 0;
		}
	return -EINVAL;
}

struct link_name {
	char name[64];
	u32 type, number, flags;
	u64 ino;
};

static bool parse_link_name(const char *name, struct link_name *out)
{
	char type[16], word[16];

	if (sscanf(name, ".%15[a-z].%u.%15[a-z]", type, &out->number, word) != 3)
		return false;
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->type = strcmp(type, "egress") ? CGROUP_INET_INGRESS : CGROUP_INET_EGRESS;
	return !cgroup_flags_of(word, strlen(word), &out->flags) &&
	       !strcmp(type, cgroup_type_names[out->type]);
}

static void make_link_name(struct link_name *link)
{
	snprintf(link->name, sizeof(link->name), ".%s.%06u.%s", cgroup_type_names[link->type],
		 link->number, cgroup_flags_word(link->flags));
}

/* The links of a type in order of their numbers; malloc()ed. */
static int list_links(int dirfd, u32 type, struct link_name **out, u32 *nr)
{
	struct tree_names names;
	struct link_name link;
	int err;

	*nr = 0;
	*out = NULL; /* free()able on failure too */
	err = tree_list(dirfd, true, &names);
	if (err)
		return err;
	*out = calloc(names.n + 1, sizeof(**out));
	for (size_t i = 0; *out && i < names.n; i++) /* sorted, so by number */
		if (parse_link_name(names.v[i].name, &link) && link.type == type) {
			link.ino = names.v[i].ino;
			(*out)[(*nr)++] = link;
		}
	tree_names_free(&names);
	return *out ? 0 : -ENOMEM;
}

static void names_changed_at(u64 ino)
{
	struct store_object *obj;

	if (store_by_ino(ino, &obj))
		return;
	store_names_changed(obj);
	store_put(obj);
}

#define NEW_LINK ".new"

static int not_attached(struct error_record *why)
{
	return error_set(why, ENOENT, "no such program is attached here");
}

/* What cgroup_bpf_attach() has just said to these. */
static int model_error(struct error_record *why, int err, u32 type, const struct bpf_prog *prog,
		       u32 flags)
{
	if (err == -EPERM)
		return error_set(why, EPERM,
				 "an ancestor, or what is attached here with other flags, does not "
				 "allow it (see ingress.attach and egress.attach upwards)");
	if (err == -ENOENT)
		return not_attached(why);
	if (err == -E2BIG)
		return error_set(why, E2BIG, "at most %d programs can be attached here",
				 BPF_CGROUP_MAX_PROGS);
	if (err != -EINVAL)
		return err;
	if (prog->type != BPF_PROG_TYPE_CGROUP_SKB)
		return error_set(why, EINVAL, "a program of type cgroup_skb goes here");
	if (type == CGROUP_INET_INGRESS && prog->expected_attach_type == BPF_CGROUP_INET_EGRESS)
		return error_set(
			why, EINVAL,
			"this program was made for egress: SEC(\"cgroup_skb/ingress\") goes "
			"here");
	if (flags & BPF_F_REPLACE && !(flags & BPF_F_ALLOW_MULTI))
		return error_set(why, EINVAL, "replace goes with multi: PROGRAM multi replace OLD");
	if (flags & BPF_F_ALLOW_MULTI && !(flags & BPF_F_ALLOW_OVERRIDE))
		return error_set(why, EINVAL, "the program is in this list already");
	return error_set(why, EINVAL, "these flags do not go together");
}

/*
 * The link is made aside and exchanged with what is there, so that it lasts; then the model
 * decides, and when it refuses they are exchanged again, which needs no memory and no room.
 */
int cgroup_link_attach(struct fs_node *dir, struct cgroup *cgrp, u32 type, struct store_object *obj,
		       struct store_object *replace, u32 flags, struct error_record *why)
{
	struct link_name *links, link = {.type = type, .flags = flags};
	u64 gone = 0;
	u32 nr, i;
	bool was;
	int err;

	err = list_links(fs_node_fd(dir), type, &links, &nr);
	if (err)
		return err;
	for (i = 0; i < nr; i++) {
		bool same = flags & BPF_F_ALLOW_MULTI ? replace && links[i].ino == replace->ino
						      : true;

		link.number = max(link.number, links[i].number + 1);
		if (same) {
			gone = links[i].ino;
			link.number = links[i].number;
			break;
		}
	}
	free(links);
	/* A link's program is replaced by the link alone: it has no file here. */
	if (flags & BPF_F_ALLOW_MULTI && replace && !gone)
		return not_attached(why);
	make_link_name(&link);
	durable_unlinkat(fs_node_fd(dir), NEW_LINK, 0);
	err = store_link(obj, fs_node_fd(dir), NEW_LINK, why);
	if (err)
		return err;
	was = durable_renameat2(fs_node_fd(dir), NEW_LINK, fs_node_fd(dir), link.name,
				RENAME_EXCHANGE) == 0;
	if (!was && (errno != ENOENT || durable_renameat2(fs_node_fd(dir), NEW_LINK,
							  fs_node_fd(dir), link.name, 0) < 0))
		err = tree_error(why, errno, link.name);
	if (!err) {
		err = cgroup_bpf_attach(cgrp, type, obj->prog, replace ? replace->prog : NULL,
					flags);
		if (err && was)
			durable_renameat2(fs_node_fd(dir), NEW_LINK, fs_node_fd(dir), link.name,
					  RENAME_EXCHANGE);
		else if (err)
			durable_unlinkat(fs_node_fd(dir), link.name, 0);
		if (err)
			model_error(why, err, type, obj->prog, flags);
	}
	durable_unlinkat(fs_node_fd(dir), NEW_LINK, 0);
	store_names_changed(obj);
	if (gone)
		names_changed_at(gone);
	return err;
}

/*
 * The one link of it is moved aside first, so that what is detached now is not back at the next
 * start.
 */
static int link_detach(struct fs_node *dir, struct cgroup *cgrp, u32 type, struct store_object *obj,
		       struct link_name *links, u32 nr, struct error_record *why)
{
	const struct link_name *link = NULL;
	int err;

	for (u32 i = 0; i < nr && !link; i++)
		if (!obj || links[i].ino == obj->ino)
			link = &links[i];
	if (link &&
	    durable_renameat2(fs_node_fd(dir), link->name, fs_node_fd(dir), NEW_LINK, 0) < 0)
		return tree_error(why, errno, link->name);
	err = cgroup_bpf_detach(cgrp, type, obj ? obj->prog : NULL);
	if (err == -EINVAL)
		error_set(why, EINVAL, "several programs are attached: name the one to detach");
	else if (err == -ENOENT)
		not_attached(why);
	if (!link)
		return err;
	if (err) {
		durable_renameat2(fs_node_fd(dir), NEW_LINK, fs_node_fd(dir), link->name, 0);
		return err;
	}
	durable_unlinkat(fs_node_fd(dir), NEW_LINK, 0);
	names_changed_at(link->ino);
	return 0;
}

int cgroup_link_detach(struct fs_node *dir, struct cgroup *cgrp, u32 type, struct store_object *obj,
		       struct error_record *why)
{
	struct link_name *links;
	u32 nr, i;
	int err = list_links(fs_node_fd(dir), type, &links, &nr);

	/*
	 * The model, as Linux, takes whatever is alone in its place; here who names a program means
	 * it.
	 */
	for (i = 0; !err && obj && i < nr && links[i].ino != obj->ino; i++)
		;
	if (!err && obj && i == nr)
		err = not_attached(why);
	if (!err)
		err = link_detach(dir, cgrp, type, obj, links, nr, why);
	free(links);
	return err;
}

static int restore(const struct link_name *link, struct cgroup *cgrp)
{
	struct store_object *obj;
	int err = store_by_ino(link->ino, &obj);

	if (err)
		return err;
	err = store_wake(obj);
	if (!err && !obj->prog)
		err = -EBADMSG;
	if (!err)
		err = cgroup_bpf_attach(cgrp, link->type, obj->prog, NULL, link->flags);
	store_put(obj);
	return err;
}

int cgroup_links_restore(int fd, struct cgroup *cgrp, const char *path)
{
	struct link_name *links;
	char at[PATH_MAX];
	u32 type, nr, i;
	int err = 0;

	durable_unlinkat(fd, NEW_LINK, 0);
	for (type = 0; !err && type < MAX_CGROUP_BPF_ATTACH_TYPE; type++) {
		err = list_links(fd, type, &links, &nr);
		for (i = 0; !err && i < nr; i++) {
			err = restore(&links[i], cgrp);
			if (!err)
				continue;
			snprintf(at, sizeof(at), "tree/cgroup/%s/%s", path, links[i].name);
			state_problem(at, "attachments", REMEDY_NONE, "it is not attached: %s",
				      strerror(-err));
			if (!tree_err_passes(err))
				err = 0;
		}
		free(links);
	}
	return err;
}

int cgroup_links_remove(int fd)
{
	struct link_name *links;
	u32 type, nr, i;
	int err = 0;

	for (type = 0; !err && type < MAX_CGROUP_BPF_ATTACH_TYPE; type++) {
		err = list_links(fd, type, &links, &nr);
		for (i = 0; !err && i < nr; i++) {
			if (durable_unlinkat(fd, links[i].name, 0) < 0 && errno != ENOENT)
				err = -errno;
			else
				names_changed_at(links[i].ino);
		}
		free(links);
	}
	return err;
}
