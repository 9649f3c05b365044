/*
 * requests.c - see requests.h
 */
#include "fs/keeper/requests.h"
#include "fs/keeper/records.h"
#include "fs/keeper/slots.h"

#define BUCKETS	    1024
#define STRIKES	    2
#define KEPT_STARTS 32

static struct slots requests = SLOTS_INIT(SHARED_REQUESTS);
static struct slots replies = SLOTS_INIT(SHARED_REPLIES);
static struct slots notes = SLOTS_INIT(SHARED_NOTES);

/* This server's index: chains of places by number. */
static struct {
	pthread_mutex_t lock;
	u32 first[BUCKETS]; /* place, and one */
	u32 *next; /* by place */
} by_unique = {.lock = PTHREAD_MUTEX_INITIALIZER};

static u32 *bucket(u64 unique)
{
	return &by_unique.first[(unique >> 1) % BUCKETS];
}

static void __index_add(struct request_record *r)
{
	u32 place = slots_index(&requests, r), *first = bucket(r->unique);

	by_unique.next[place] = *first;
	*first = place + 1;
}

static struct request_record *__find(u64 unique)
{
	for (u32 i = *bucket(unique); i; i = by_unique.next[i - 1]) {
		struct request_record *r = slots_at(&requests, i - 1);

		if (r && r->unique == unique)
			return r;
	}
	return NULL;
}

static void __index_remove(const struct request_record *r)
{
	u32 place = slots_index(&requests, r), *at = bucket(r->unique);

	while (*at && *at != place + 1)
		at = &by_unique.next[*at - 1];
	if (*at)
		*at = by_unique.next[place];
}

static struct request_record *find(u64 unique)
{
	struct request_record *r;

	if (!shared || !unique)
		return NULL;
	pthread_mutex_lock(&by_unique.lock);
	r = __find(unique & ~REQUEST_AGAIN);
	pthread_mutex_unlock(&by_unique.lock);
	return r;
}

static void give_reply(struct request_record *r)
{
	struct reply_record *reply = r->reply ? slots_at(&replies, r->reply - 1) : NULL;

	r->reply = 0;
	if (reply && reply->used == r->unique)
		slots_give(&replies, reply);
}

static struct notes_record *notes_of(const struct request_record *r)
{
	struct notes_record *n = r && r->notes ? slots_at(&notes, r->notes - 1) : NULL;

	return n && n->used == r->unique && n->len <= sizeof(n->data) ? n : NULL;
}

static void give_notes(struct request_record *r)
{
	struct notes_record *n = notes_of(r);

	r->notes = 0;
	if (n)
		slots_give(&notes, n);
}

/* Replies and notes whose request is gone: its server was killed between the two. */
static void drop_lost(void)
{
	for (u32 i = slots_high(&notes); i-- > 0;) {
		struct notes_record *n = slots_at(&notes, i);
		struct request_record *r = n ? __find(n->used) : NULL;

		if (n && (!r || r->notes != i + 1))
			slots_give(&notes, n);
	}
	for (u32 i = slots_high(&replies); i-- > 0;) {
		struct reply_record *reply = slots_at(&replies, i);
		struct request_record *r = reply ? __find(reply->used) : NULL;

		if (reply && (!r || r->reply != i + 1))
			slots_give(&replies, reply);
	}
}

/*
 * What is not sent again had its answer: its server was killed before it could note that. Nobody
 * says when all have been sent again, and a server may die before it has read them; so it goes
 * after some more.
 */
int requests_start(void)
{
	u32 high;
	int err = slots_start(&requests);

	if (!err)
		err = slots_start(&replies);
	if (!err)
		err = slots_start(&notes);
	memset(by_unique.first, 0, sizeof(by_unique.first));
	free(by_unique.next);
	by_unique.next = err ? NULL : calloc(shared_table_max(SHARED_REQUESTS), sizeof(u32));
	if (!by_unique.next)
		return -ENOMEM;
	high = slots_high(&requests);
	for (u32 i = 0; i < high; i++) {
		struct request_record *r = slots_at(&requests, i);

		if (!r)
			continue;
		if (r->start + KEPT_STARTS < shared->starts || __find(r->unique)) {
			slots_give(&requests, r); /* its reply and notes: drop_lost() */
			continue;
		}
		if (shared->culprit == r->unique)
			r->strikes++;
		__index_add(r);
	}
	shared->culprit = 0;
	drop_lost();
	return 0;
}

static struct request_record *request_new(u64 unique, u32 opcode, bool keep)
{
	struct request_record *r = slots_take(&requests);

	if (!r)
		return NULL;
	*r = (struct request_record){.opcode = opcode, .keep = keep, .start = shared->starts};
	slots_valid(r, unique);
	pthread_mutex_lock(&by_unique.lock);
	__index_add(r);
	pthread_mutex_unlock(&by_unique.lock);
	return r;
}

enum request_what requests_begin(u64 unique, u32 opcode, bool keep, struct request_record **out)
{
	struct request_record *r = unique & REQUEST_AGAIN ? find(unique) : NULL;

	*out = r;
	if (!r) {
		*out = request_new(unique & ~REQUEST_AGAIN, opcode, keep);
		return unique & REQUEST_AGAIN ? REQUEST_REPEATED : REQUEST_NEW;
	}
	r->start = shared->starts;
	if (r->strikes >= STRIKES) /* also of what is DONE: its answer may be what ends servers */
		return REQUEST_DEADLY;
	return __atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == REQUEST_DONE ? REQUEST_ANSWERED
									    : REQUEST_REPEATED;
}

s32 requests_answer(const struct request_record *r, const void **data, u32 *len)
{
	struct reply_record *reply = r->reply ? slots_at(&replies, r->reply - 1) : NULL;

	*data = NULL;
	*len = 0;
	if (!reply || reply->used != r->unique || reply->len > sizeof(reply->data))
		return -EIO; /* it was done, and what was answered is lost */
	*data = reply->data;
	*len = reply->len;
	return reply->error;
}

bool requests_known(u64 unique)
{
	return find(unique) != NULL;
}

void requests_each_old(void (*fn)(u64 unique, const struct request_record *record))
{
	for (u32 i = slots_high(&requests); i-- > 0;) {
		const struct request_record *r = slots_at(&requests, i);

		if (r && r->start < shared->starts)
			fn(r->unique, r);
	}
}

void requests_intent(u64 unique, u64 intent)
{
	struct request_record *r = find(unique);

	if (!r)
		return;
	r->intent = intent;
	__atomic_store_n(&r->state, REQUEST_INTENT, __ATOMIC_RELEASE);
}

u64 requests_intended(u64 unique)
{
	struct request_record *r = find(unique);

	if (!r || __atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != REQUEST_INTENT)
		return 0;
	return r->intent;
}

void requests_forget_intent(u64 intent)
{
	u32 high = shared ? slots_high(&requests) : 0;

	for (u32 i = 0; i < high; i++) {
		struct request_record *r = slots_at(&requests, i);

		if (r && r->state == REQUEST_INTENT && r->intent == intent)
			__atomic_store_n(&r->state, REQUEST_READ, __ATOMIC_RELEASE);
	}
}

static struct notes_record *notes_new(struct request_record *r, u32 map)
{
	struct notes_record *n = slots_take(&notes);

	if (!n)
		return NULL;
	n->map = map;
	n->len = n->last = n->recovered = 0;
	slots_valid(n, r->unique);
	r->notes = slots_index(&notes, n) + 1;
	return n;
}

/* The length says what is whole, and is written last. */
void requests_note(u64 unique, u32 map, u64 mark, const void *data, u32 len)
{
	struct request_record *r = find(unique);
	struct note note = {.mark = mark, .len = len};
	struct notes_record *n;
	u32 room = sizeof(note) + round_up(len, 8);

	if (!r)
		return;
	n = r->notes ? notes_of(r) : notes_new(r, map);
	if (!n || len > sizeof(n->data) || sizeof(n->data) - n->len < room) {
		__atomic_store_n(&r->notes_lost, 1, __ATOMIC_RELEASE);
		return;
	}
	memcpy(n->data + n->len, &note, sizeof(note));
	if (len)
		memcpy(n->data + n->len + sizeof(note), data, len);
	n->last = n->len;
	__atomic_store_n(&n->len, n->len + room, __ATOMIC_RELEASE);
}

void requests_unnote(u64 unique)
{
	struct notes_record *n = notes_of(find(unique));

	if (n && n->last < n->len)
		__atomic_store_n(&n->len, n->last, __ATOMIC_RELEASE);
}

static bool note_at(const struct notes_record *n, u32 at, struct note *note)
{
	if (at > n->len || n->len - at < sizeof(*note))
		return false;
	memcpy(note, n->data + at, sizeof(*note));
	return note->len <= n->len - at - sizeof(*note);
}

void requests_recover(bool (*made)(u32 map, u64 mark, const void *data, u32 len))
{
	for (u32 i = slots_high(&notes); i-- > 0;) {
		struct notes_record *n = slots_at(&notes, i);
		struct note note;
		u32 at = 0, last = 0;

		if (!n || n->len <= n->recovered)
			continue;
		/* Of a note that was being written `last` may say nothing. */
		for (; note_at(n, at, &note); at += sizeof(note) + round_up(note.len, 8))
			last = at;
		if (note_at(n, last, &note) &&
		    !made(n->map, note.mark, n->data + last + sizeof(note), note.len))
			__atomic_store_n(&n->len, last, __ATOMIC_RELEASE);
		n->recovered = n->len;
	}
}

int requests_noted(u64 unique, u32 *at, const void **data, u32 *len)
{
	struct request_record *r = unique & REQUEST_AGAIN ? find(unique) : NULL;
	const struct notes_record *n = notes_of(r);
	struct note note;

	if (r && r->notes_lost)
		return -EIO;
	if (!n || !note_at(n, *at, &note))
		return 0;
	*data = n->data + *at + sizeof(note);
	*len = note.len;
	*at += sizeof(note) + round_up(note.len, 8);
	return 1;
}

void requests_keep(u64 unique)
{
	struct request_record *r = find(unique);

	if (r)
		r->keep = true;
}

/* `reply` is whole before DONE says so. An answer that is too large is kept as that. */
void requests_done(u64 unique, s32 error, const struct iovec *iov, int count)
{
	struct request_record *r = find(unique);
	struct reply_record *reply;
	size_t len = 0;

	if (!r || !r->keep)
		return;
	for (int i = 1; i < count; i++)
		len += iov[i].iov_len;
	reply = len <= sizeof(reply->data) ? slots_take(&replies) : NULL;
	if (reply) {
		reply->error = error;
		reply->len = 0;
		for (int i = 1; i < count; i++) {
			memcpy(reply->data + reply->len, iov[i].iov_base, iov[i].iov_len);
			reply->len += (u32)iov[i].iov_len;
		}
		slots_valid(reply, r->unique);
		r->reply = slots_index(&replies, reply) + 1;
	}
	__atomic_store_n(&r->state, REQUEST_DONE, __ATOMIC_RELEASE);
}

void requests_end(u64 unique)
{
	struct request_record *r;

	if (!shared || !unique)
		return;
	pthread_mutex_lock(&by_unique.lock);
	r = __find(unique & ~REQUEST_AGAIN);
	if (r)
		__index_remove(r);
	pthread_mutex_unlock(&by_unique.lock);
	if (!r)
		return;
	give_reply(r);
	give_notes(r);
	slots_give(&requests, r);
}

bool requests_pending(u64 unique)
{
	struct request_record *r = find(unique);

	return r && __atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != REQUEST_DONE;
}
