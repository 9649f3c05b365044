/*
 * test_link.c - fs/store/link.c: links of cgroups as objects, their file, and what a start makes of
 * it
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/store/link.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/names.h"
#include "rcu/rcu.h"
#include "tests/lib/state.h"

#define TYPE CGROUP_INET_EGRESS

static struct cgroup *root, *child;
static struct store_object *first, *second; /* programs */

static int begin(void **state)
{
	int err = state_begin(state);

	root = cgroup_root_new();
	assert_non_null(root);
	assert_int_equal(cgroup_create(root, 500, &child), 0);
	first = state_prog("first", 1, NULL);
	second = state_prog("second", 1, NULL);
	return err;
}

static int end(void **state)
{
	store_put(first);
	store_put(second);
	cgroup_remove(child);
	cgroup_put(child);
	cgroup_remove(root);
	cgroup_put(root);
	return state_end(state);
}

/* The one program that is attached to the child itself, or NULL. */
static struct bpf_prog *attached(void)
{
	struct cgroup_bpf_item *items;
	struct bpf_prog *prog;
	u32 nr, flags;

	assert_int_equal(cgroup_bpf_query(child, TYPE, false, &items, &nr, &flags), 0);
	assert_true(nr <= 1);
	prog = nr ? items[0].prog : NULL;
	cgroup_bpf_items_free(items, nr);
	return prog;
}

static struct store_object *new_link(void)
{
	struct store_object *link;

	assert_int_equal(store_link_create(first->prog, child, TYPE, &state_me, &link, NULL), 0);
	return link;
}

static void assert_state(struct store_object *link, const struct store_object *prog, u64 cgroup)
{
	struct link_state state, file;
	int fd = store_part_open(link->id, STORE_OBJECT, O_RDONLY);

	store_link_state(link, &state);
	assert_int_equal(state.prog_id, prog->id);
	assert_int_equal(state.attach_type, TYPE);
	assert_int_equal(state.cgroup_id, cgroup);
	assert_int_equal(store_link_read(fd, &file), 0);
	assert_int_equal(file.prog_id, prog->id);
	assert_int_equal(file.attach_type, TYPE);
	close(fd);
}

static void it_is_attached_as_long_as_it_lives(void **state)
{
	struct store_object *link = new_link();
	u32 id = link->id;
	u8 tag[BPF_TAG_SIZE];

	assert_ptr_equal(attached(), first->prog);
	assert_state(link, first, 500);
	store_link_tag(link, tag);
	assert_memory_equal(tag, first->prog->tag, sizeof(tag));
	store_put(link);
	assert_null(attached());
	assert_false(state_has("objects/%u", id));
}

static void it_is_attached_beside_others_only(void **state)
{
	struct store_object *link = NULL;
	u32 next;

	assert_int_equal(cgroup_bpf_attach(root, TYPE, second->prog, NULL, 0), 0);
	next = store_next_id();
	assert_int_equal(store_link_create(first->prog, child, TYPE, &state_me, &link, NULL),
			 -EPERM);
	assert_null(link);
	assert_false(state_has("objects/%u", next + 1));
	assert_null(attached());
	assert_int_equal(cgroup_bpf_detach(root, TYPE, second->prog), 0);
}

static void another_program_takes_the_place(void **state)
{
	struct store_object *link = new_link();

	assert_int_equal(store_link_update(link, second->prog, second->prog), -EPERM);
	assert_ptr_equal(attached(), first->prog);
	assert_state(link, first, 500);
	assert_int_equal(store_link_update(link, second->prog, first->prog), 0);
	assert_ptr_equal(attached(), second->prog);
	assert_state(link, second, 500);
	assert_int_equal(store_link_update(link, second->prog, NULL), 0); /* the same again */
	assert_state(link, second, 500);
	store_put(link);
	assert_null(attached());
}

static void detached_it_stays_a_link(void **state)
{
	struct store_object *link = new_link();

	assert_int_equal(store_link_detach(link), 0);
	assert_null(attached());
	assert_state(link, first, 0);
	assert_int_equal(store_link_update(link, second->prog, NULL), -ENOLINK);
	assert_int_equal(store_link_detach(link), 0);
	store_put(link);
}

static void so_does_one_of_a_removed_cgroup(void **state)
{
	struct store_object *link = new_link();
	struct link_state now;

	assert_int_equal(cgroup_remove(child), 0);
	store_link_state(link, &now);
	assert_int_equal(now.cgroup_id, 0);
	assert_int_equal(store_link_update(link, second->prog, NULL), -ENOLINK);
	store_put(link);
}

static struct cgroup *get(u64 id)
{
	if (id != 500)
		return NULL;
	cgroup_get(child);
	return child;
}

static u32 pinned_link(void)
{
	struct store_object *link = new_link();
	u32 id = link->id;

	tree_wrlock();
	assert_int_equal(store_link(link, tree.tree_fd, "pin", NULL), 0);
	tree_unlock();
	store_put(link);
	return id;
}

static void restart(void)
{
	u32 ids[] = {first->id, second->id};

	store_put(first);
	store_put(second);
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_int_equal(store_by_id(STORE_PROG, ids[0], &first), 0);
	assert_int_equal(store_by_id(STORE_PROG, ids[1], &second), 0);
}

static void a_start_attaches_what_has_a_pin(void **state)
{
	struct store_object *link;
	u32 id = pinned_link();

	assert_ptr_equal(attached(), first->prog);
	restart();
	assert_null(attached());
	links_start(get);
	assert_ptr_equal(attached(), first->prog);
	assert_int_equal(store_by_id(STORE_LINK, id, &link), 0);
	assert_state(link, first, 500);
	/* Detached links stay detached. */
	assert_int_equal(store_link_detach(link), 0);
	store_put(link);
	restart();
	links_start(get);
	assert_null(attached());
}

static void a_cgroup_that_is_gone_leaves_a_link(void **state)
{
	struct store_object *link;
	struct link_state now;
	u32 id = pinned_link();

	assert_int_equal(store_by_id(STORE_LINK, id, &link), 0);
	store_put(link);
	restart();
	assert_int_equal(cgroup_remove(child), 0);
	links_start(get); /* the model refuses it */
	assert_int_equal(store_by_id(STORE_LINK, id, &link), 0);
	store_link_state(link, &now);
	assert_int_equal(now.cgroup_id, 0);
	assert_int_equal(now.prog_id, first->id);
	store_put(link);
}

/* Each byte of the file counts. */
static void a_damaged_file_is_told(void **state)
{
	struct store_object *link = new_link();
	struct link_state now;
	char image[64];
	ssize_t size;
	int fd = store_part_open(link->id, STORE_OBJECT, O_RDWR);

	size = pread(fd, image, sizeof(image), 0);
	assert_in_range(size, 16, sizeof(image) - 1);
	for (ssize_t i = 0; i < size; i++) {
		char byte = (char)(image[i] ^ 1);

		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		assert_int_equal(store_link_read(fd, &now), -EBADMSG);
		assert_int_equal(pwrite(fd, &image[i], 1, i), 1);
	}
	assert_int_equal(store_link_read(fd, &now), 0);
	assert_return_code(ftruncate(fd, size - 1), errno);
	assert_int_equal(store_link_read(fd, &now), -EBADMSG);
	close(fd);
	assert_int_equal(store_link_read(-1, &now), -EBADF); /* not damaged: unreadable */
	store_put(link);
}

static void a_damaged_link_or_program_is_kept(void **state)
{
	u32 ids[] = {first->id, second->id}, id = pinned_link();
	struct store_object *link;
	char path[32];

	store_put(first);
	store_put(second);
	state_stop();
	snprintf(path, sizeof(path), "objects/%u", ids[0]);
	state_write(path, "nonsense", 8);
	assert_int_equal(state_start(), 0);
	links_start(get);
	assert_null(attached());
	assert_int_equal(store_by_id(STORE_LINK, id, &link), 0);
	snprintf(path, sizeof(path), "is of program %u, which", ids[0]);
	assert_non_null(strstr(link->broken, path));
	store_put(link);
	state_stop();
	snprintf(path, sizeof(path), "objects/%u", id);
	state_write(path, "knilfpb", 7); /* not its magic */
	assert_int_equal(state_start(), 0);
	links_start(get);
	assert_true(state_has("tree/pin"));
	assert_true(state_has("objects/%u", id));
	assert_int_equal(store_by_id(STORE_PROG, ids[0], &first), 0);
	assert_int_equal(store_by_id(STORE_PROG, ids[1], &second), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(it_is_attached_as_long_as_it_lives),  CASE(it_is_attached_beside_others_only),
		CASE(another_program_takes_the_place),	   CASE(detached_it_stays_a_link),
		CASE(so_does_one_of_a_removed_cgroup),	   CASE(a_start_attaches_what_has_a_pin),
		CASE(a_cgroup_that_is_gone_leaves_a_link), CASE(a_damaged_file_is_told),
		CASE(a_damaged_link_or_program_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
