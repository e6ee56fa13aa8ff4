// Pieces and versions of their lists.
#include "host/piece.h"

#include <errno.h>
#include <stdlib.h>

int mr_piece_create(struct mr_table_part *part, struct mr_piece **out)
{
	struct mr_piece *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	atomic_init(&p->references, 1);
	p->part = part;
	*out = p;
	return 0;
}

struct mr_piece *mr_piece_get(struct mr_piece *p)
{
	atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
	return p;
}

void mr_piece_put(struct mr_piece *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1)
		return;
	for (int i = 0; i < MR_PIECE_KINDS; i++)
		mr_chunk_put(mr_piece_chunk(p, i));
	mr_segment_put(p->segment);
	free(p->ranges);
	free(p);
}

uint64_t mr_piece_rows(const struct mr_piece *p, int kind)
{
	const struct mr_chunk *c = mr_piece_chunk(p, kind);

	if (p->segment)
		return kind == MR_PIECE_ROWS ? p->segment->info.rows : p->segment->info.dead_rows;
	return c ? mr_chunk_rows(c) : 0;
}

size_t mr_piece_bytes(const struct mr_piece *p)
{
	size_t bytes = 0;

	for (int i = 0; i < MR_PIECE_KINDS; i++)
		bytes += mr_piece_chunk(p, i) ? mr_piece_chunk(p, i)->bytes : 0;
	return bytes;
}

void mr_piece_note(struct mr_piece *p, uint32_t partition, int64_t from, int64_t to)
{
	uint32_t i = 0;

	MR_ASSERT(!p->closed && from < to);
	while (i < p->ranges_count && p->ranges[i].partition < partition)
		i++;
	if (i < p->ranges_count && p->ranges[i].partition == partition) {
		MR_ASSERT(p->ranges[i].to <= from);
		p->ranges[i].to = to;
		return;
	}
	if (p->ranges_count == p->ranges_max) {
		uint32_t max = p->ranges_max * 2 + 4;
		struct mr_offset_range *grown = realloc(p->ranges, max * sizeof(*grown));

		MR_ASSERT(grown);
		p->ranges = grown;
		p->ranges_max = max;
	}
	memmove(&p->ranges[i + 1], &p->ranges[i], (p->ranges_count - i) * sizeof(*p->ranges));
	p->ranges[i] = (struct mr_offset_range){partition, from, to};
	p->ranges_count++;
}

// ---- versions

static void version_empty(struct mr_version *v)
{
	for (uint32_t i = 0; i < v->count; i++)
		mr_piece_put(v->pieces[i]);
	v->count = 0;
}

void mr_version_unpin(struct mr_version *v)
{
	uint32_t r = atomic_load_explicit(&v->references, memory_order_relaxed);

	for (;;) {
		uint32_t next = r == 1 ? MR_VERSION_BUSY : r - 1;

		MR_ASSERT(r != 0 && r != MR_VERSION_BUSY);
		if (atomic_compare_exchange_weak_explicit(
			    &v->references, &r, next, memory_order_acq_rel, memory_order_relaxed))
			break;
	}
	if (r > 1)
		return;
	version_empty(v);
	atomic_store_explicit(&v->references, 0, memory_order_release);
}

static bool version_try_pin(struct mr_version *v)
{
	uint32_t r = atomic_load_explicit(&v->references, memory_order_relaxed);

	while (r != 0 && r != MR_VERSION_BUSY)
		if (atomic_compare_exchange_weak_explicit(
			    &v->references, &r, r + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

struct mr_version *mr_pieces_pin(struct mr_piece_list *l)
{
	for (;;) {
		struct mr_version *v = atomic_load_explicit(&l->version, memory_order_acquire);

		if (!version_try_pin(v))
			continue;
		if (atomic_load_explicit(&l->version, memory_order_acquire) == v)
			return v;
		mr_version_unpin(v);
	}
}

const struct mr_version *mr_pieces_now(const struct mr_piece_list *l)
{
	return atomic_load_explicit(&l->version, memory_order_relaxed);
}

// A slot that nobody holds, with room for `pieces` pieces. References stay 0 until it is published.
static struct mr_version *version_slot(struct mr_piece_list *l, uint32_t pieces)
{
	struct mr_version *v = l->slots;

	while (v && atomic_load_explicit(&v->references, memory_order_acquire) != 0)
		v = v->slot_next;
	if (!v) {
		v = calloc(1, sizeof(*v));
		MR_ASSERT(v);
		v->slot_next = l->slots;
		l->slots = v;
	}
	if (v->max < pieces) {
		uint32_t max = MR_MAX(pieces, v->max * 2 + 8);
		struct mr_piece **grown = realloc(v->pieces, max * sizeof(struct mr_piece *));

		MR_ASSERT(grown);
		v->pieces = grown;
		v->max = max;
	}
	return v;
}

// Publishes the present list without `old`, `by` at the place of their first or at the end.
static void publish(struct mr_piece_list *l, struct mr_piece *const *old, uint32_t old_count,
	struct mr_piece *const *by, uint32_t by_count)
{
	struct mr_version *before = atomic_load_explicit(&l->version, memory_order_relaxed);
	uint32_t kept = before ? before->count : 0, gone = 0, next = 0;
	struct mr_version *v = version_slot(l, kept + by_count);

	v->count = 0;
	for (uint32_t i = 0; i < kept; i++) {
		if (gone == old_count || before->pieces[i] != old[gone]) {
			v->pieces[v->count++] = mr_piece_get(before->pieces[i]);
			continue;
		}
		gone++;
		while (next < by_count)
			v->pieces[v->count++] = by[next++];
	}
	MR_ASSERT(gone == old_count);
	while (next < by_count)
		v->pieces[v->count++] = by[next++];
	atomic_store_explicit(&v->references, 1, memory_order_release);
	atomic_store_explicit(&l->version, v, memory_order_release);
	if (before)
		mr_version_unpin(before);
}

void mr_pieces_init(struct mr_piece_list *l)
{
	atomic_init(&l->version, NULL);
	l->slots = NULL;
	publish(l, NULL, 0, NULL, 0);
}

void mr_pieces_fini(struct mr_piece_list *l)
{
	struct mr_version *v = atomic_load_explicit(&l->version, memory_order_relaxed);

	if (v)
		mr_version_unpin(v);
	while (l->slots) {
		v = l->slots;
		l->slots = v->slot_next;
		MR_ASSERT(atomic_load_explicit(&v->references, memory_order_acquire) == 0);
		free(v->pieces);
		free(v);
	}
}

void mr_pieces_add(struct mr_piece_list *l, struct mr_piece *const *added, uint32_t count)
{
	publish(l, NULL, 0, added, count);
}

void mr_pieces_replace(
	struct mr_piece_list *l, struct mr_piece *const *old, uint32_t count, struct mr_piece *by)
{
	publish(l, old, count, &by, by ? 1 : 0);
}
