// An open chunk: up to 65,536 rows of one table in memory, written by one worker, read by many.
//
// The writer appends rows and, once they are durable, publishes a row count with release order. A
// reader loads that count with acquire order and reads the rows below it: what it sees never
// changes form. Value arrays have their full capacity from the start and never move. The encoding
// of a text column (dictionary or plain) is fixed when the chunk opens; dictionary entries and heap
// bytes are append-only.
//
// Rows are written in two steps: the decoder fills row `rows` of every column, then either
// mr_chunk_row_commit counts it or mr_chunk_row_abort forgets it (a dead letter): nothing of an
// aborted row is visible, though its interned strings stay in the dictionary.
//
// Memory comes in fixed blocks from a pool of the worker (mr_chunk_pool), because first touch of
// fresh memory is slow: a chunk's blocks are reused by the next one. A chunk itself lies in such
// blocks, so opening one calls no malloc.
#pragma once

#include "kernels/column.h"

#include <stdatomic.h>

#define MR_CHUNK_ROWS 65536

// Entries of a dictionary, the empty string at code 0 counted: so codes fit 16 bits, and the code
// of a null row (0) always names an entry. Entries of aborted rows use up room too; a chunk whose
// dictionary is full is full. A fresh chunk always has room for one row.
#define MR_CHUNK_DICT_ENTRIES 65536

#define MR_CHUNK_COLUMNS_MAX 1664 // PostgreSQL's 1,600 and room for hidden ones

// Blocks of MR_CHUNK_BLOCK_BYTES from one reserved mapping. Taking and giving back is for any
// thread (a lock inside: it happens once per quarter megabyte).
#define MR_CHUNK_BLOCK_BYTES (256u << 10)

struct mr_chunk_pool;

// Reserves address space for `bytes_max` on a node (-1: any); pages are committed when first used,
// or ahead of that. 0 or -errno.
[[nodiscard]] int mr_chunk_pool_create(size_t bytes_max, int node, struct mr_chunk_pool **out);
// All memory must have been given back.
void mr_chunk_pool_destroy(struct mr_chunk_pool *p);
size_t mr_chunk_pool_bytes_used(struct mr_chunk_pool *p);
size_t mr_chunk_pool_bytes_max(struct mr_chunk_pool *p);
// Contiguous memory of whole blocks, or NULL when the pool has no such hole. Not cleared.
void *mr_chunk_pool_take(struct mr_chunk_pool *p, size_t bytes);
void *mr_chunk_pool_take_urgent(struct mr_chunk_pool *p, size_t bytes);
void mr_chunk_pool_give(struct mr_chunk_pool *p, void *memory, size_t bytes);

// Whether take would give so much now. After a no, as after a take that failed, the next give calls
// `wake`. Any thread.
bool mr_chunk_pool_has(struct mr_chunk_pool *p, size_t bytes);
// `wake` runs on the thread that gave memory back, outside the lock. Before threads use the pool.
void mr_chunk_pool_on_give(struct mr_chunk_pool *p, void (*wake)(void *arg), void *arg);
// Calls `refused` when somebody is refused, not again before memory has come back: on the thread
// that was refused and under the pool's lock.
void mr_chunk_pool_on_refuse(struct mr_chunk_pool *p, void (*refused)(void *arg), void *arg);
// Whether somebody was refused and no memory has come back since.
bool mr_chunk_pool_is_wanted(struct mr_chunk_pool *p);

// A share of a pool is a pool to take from: half of the whole is divided evenly among its shares,
// and what a share has not taken of that is kept for it; the rest is for whoever comes first. So
// one that takes all it can get never starves the others. Two things may be taken from what is kept
// as well, or the largest rows would wait for ever: the first run of a share that has nothing, and
// the bytes of a chunk's first row (`urgent`). A share must go before its pool. Any thread. 0 or
// -ENOMEM.
[[nodiscard]] int mr_chunk_pool_share(struct mr_chunk_pool *whole, struct mr_chunk_pool **out);
// The pool that this is a share of, or itself.
struct mr_chunk_pool *mr_chunk_pool_whole(struct mr_chunk_pool *p);

// So many bytes that were never taken are to be committed ahead of need, from the first share on.
// `fell_short` runs when there are fewer, on the thread that took memory or made the share and
// under the pool's lock; not again before the next mr_chunk_pool_commit_ahead. Before threads use
// the pool.
void mr_chunk_pool_keep_ahead(
	struct mr_chunk_pool *p, size_t bytes, void (*fell_short)(void *arg), void *arg);
// Commits one block more if bytes are missing: did it? One thread.
bool mr_chunk_pool_commit_ahead(struct mr_chunk_pool *p);
// Of blocks that were taken some time or committed ahead; none goes back before the pool does.
size_t mr_chunk_pool_bytes_committed(struct mr_chunk_pool *p);

enum mr_chunk_encoding { MR_CHUNK_PLAIN, MR_CHUNK_DICT };

struct mr_chunk_column {
	struct mr_typeref type;
	uint8_t phys;        // enum mr_phys
	uint8_t encoding;    // enum mr_chunk_encoding; PLAIN for all but text and bytea
	uint8_t width_bytes; // of an item of `values` or `codes`
	// Nulls among the rows committed so far. Writer: before the release of the row count; 0
	// means `valid` is all ones.
	_Atomic uint32_t nulls;
	void *values;    // MR_CHUNK_ROWS values (struct mr_str for plain text); NULL with codes
	uint64_t *valid; // all ones when the chunk opens
	uint32_t *codes; // dictionary codes; NULL without a dictionary
	struct mr_dict_build *dict;
};

// Where the bytes of strings go, all columns together; big ones get blocks of their own.
struct mr_heap {
	uint8_t *at;
	uint8_t *end;
	struct mr_heap_block *blocks; // newest first
};

struct mr_chunk {
	uint32_t columns_count;
	uint32_t rows;                   // writer: rows committed
	_Atomic uint32_t rows_published; // writer: release, readers: acquire
	_Atomic uint32_t references;
	struct mr_chunk_pool *pool;
	_Atomic size_t bytes; // memory taken from the pool; writer: wo, others: ro, relaxed
	size_t bytes_max;
	size_t bytes_first; // of it, what holds this struct and the arrays
	struct mr_heap heap;
	bool full;         // no row may be added: rows or bytes are used up
	uint64_t *row_set; // columns of row `rows` that have a value, a bit each
	struct mr_chunk_column columns[];
};

// What the new chunk's text columns should look like: `plain[i]` true = not worth a dictionary.
// NULL = dictionaries for all. The chunk may use `bytes_max`, but always what its first row needs.
// 0, or -ENOMEM when the pool is used up. References = 1.
[[nodiscard]] int mr_chunk_create(struct mr_chunk_pool *pool, const struct mr_typeref *types,
	uint32_t columns_count, const bool *plain, size_t bytes_max, struct mr_chunk **out);
// What an empty chunk of these columns takes from the pool.
size_t mr_chunk_bytes_min(
	const struct mr_typeref *types, uint32_t columns_count, const bool *plain);
void mr_chunk_get(struct mr_chunk *c);
// Frees the chunk with the last reference. Any thread.
void mr_chunk_put(struct mr_chunk *c);

// Advice for the next chunk of the same table: true when over half the values were distinct (of a
// plain column, in a sample). Writer only.
bool mr_chunk_prefers_plain(const struct mr_chunk *c, uint32_t column);

// Writing row `c->rows`, writer only. A column not set before the commit is NULL; setting one again
// replaces its value.
void mr_chunk_row_begin(struct mr_chunk *c);
void mr_chunk_row_commit(struct mr_chunk *c);
void mr_chunk_row_abort(struct mr_chunk *c);

static inline void mr_chunk_set_null(struct mr_chunk *c, uint32_t column)
{
	mr_bit_clear(c->row_set, column);
}

// Copies the bytes into the dictionary or the heap. 0, or -ENOMEM (pool, bytes_max or dictionary
// used up) after which the row must be aborted and the chunk is full. < 4 GiB.
[[nodiscard]] int mr_chunk_set_bytes(
	struct mr_chunk *c, uint32_t column, const uint8_t *data, size_t bytes);

// The place of a fixed-size value of row `c->rows`; the caller writes it and the column is not
// null.
static inline void *mr_chunk_slot(struct mr_chunk *c, uint32_t column)
{
	struct mr_chunk_column *col = &c->columns[column];

	mr_bit_set(c->row_set, column);
	return (uint8_t *)col->values + (size_t)c->rows * col->width_bytes;
}

// Makes all committed rows up to `rows` visible. Writer only.
static inline void mr_chunk_publish(struct mr_chunk *c, uint32_t rows)
{
	MR_DASSERT(rows <= c->rows);
	atomic_store_explicit(&c->rows_published, rows, memory_order_release);
}

static inline uint32_t mr_chunk_rows(const struct mr_chunk *c)
{
	return atomic_load_explicit(&c->rows_published, memory_order_acquire);
}

// A reader's view of a column for rows below mr_chunk_rows(), as kernels want it. `dict` gets the
// dictionary as it is now; both live as long as the chunk's reference. The word of `valid` that
// holds the last row may still change in the bits of later rows, so masks beyond the row count mean
// nothing. Call mr_chunk_rows first.
void mr_chunk_column_view(
	const struct mr_chunk *c, uint32_t column, struct mr_col *out, struct mr_dict *dict);
