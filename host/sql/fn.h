// SQL functions, operators and casts: tables of rows, found by name and argument types.
//
// A new function is a row in its family's table (fn_*.c). The families are listed in fn.c. An
// operator is a function whose name is the operator; a cast is a function named "cast" whose
// context says when it happens unasked.
//
// A function is either a plain C function over the values of one row (`row`), or over whole vectors
// (`vec`). Unless it is MR_FN_NONSTRICT it never sees a NULL: the caller gives NULL back for it.
#pragma once

#include "host/sql/expr.h"

#define MR_FN_ARGS_MAX 6
#define MR_FN_ANY      MR_TYPE_COUNT // in `args`: any type

enum mr_fn_flags {
	MR_FN_NONSTRICT = 1, // gets NULLs: a NULL pointer for a NULL argument
	MR_FN_VARIADIC = 2,  // the last argument may be repeated
	MR_FN_STABLE = 4,    // one answer in one statement: not folded when bound
	MR_FN_VOLATILE = 8,  // a new answer for each row
	MR_FN_EXPLICIT = 16, // a cast that must be written
	MR_FN_ASSIGN = 32,   // a cast that INSERT makes unasked
};

struct mr_fn_call {
	struct mr_eval *ev;
	const struct mr_expr *e;
	const struct mr_vec *args;
	uint32_t args_count;
	struct mr_vec *out;
	void *values;    // of the result
	uint64_t *valid; // of the result, or NULL while there are no nulls
};

// Writes the result to `out`. 0; 1 = the result is NULL; negative with ev->diag set. Strings come
// from ev->arena or borrow from the arguments.
typedef int mr_fn_row(struct mr_fn_call *c, const void *const *args, void *out);
// Fills c->values for the rows of (sel, n), none of which has a null argument.
typedef int mr_fn_vec(struct mr_fn_call *c, const uint32_t *sel, uint32_t n);

struct mr_fn {
	const char *name;
	uint8_t ret; // enum mr_type
	uint8_t args_count;
	uint8_t args[MR_FN_ARGS_MAX];
	uint8_t flags;
	mr_fn_row *row;
	mr_fn_vec *vec;
};

struct mr_fn_family {
	const struct mr_fn *fns;
	size_t count;
};

extern const struct mr_fn_family mr_fn_arith, mr_fn_cmp, mr_fn_cast, mr_fn_math, mr_fn_numeric,
	mr_fn_text, mr_fn_time, mr_fn_format, mr_fn_number, mr_fn_digest, mr_fn_scan, mr_fn_system,
	mr_fn_regex, mr_fn_bytes, mr_fn_catalog, mr_fn_quote;

// Calls the function for (sel, n): NULLs, constants and dictionaries are handled here.
[[nodiscard]] int mr_fn_eval(struct mr_eval *ev, const struct mr_expr *e, const uint32_t *sel,
	uint32_t n, struct mr_vec *out);

enum mr_fn_found { MR_FN_NONE, MR_FN_ONE, MR_FN_AMBIGUOUS, MR_FN_NO_NAME };

// PostgreSQL's choice (manual, chapter 10.2 and 10.3) among the functions of that name for these
// argument types; MR_TYPE_NULL stands for unknown.
enum mr_fn_found mr_fn_find(
	struct mr_span name, const uint8_t *types, uint32_t count, const struct mr_fn **out);
// The cast, or NULL. `MR_FN_EXPLICIT` and `MR_FN_ASSIGN` in its flags say when it is allowed.
const struct mr_fn *mr_fn_cast_find(enum mr_type from, enum mr_type to);
bool mr_fn_implicit(enum mr_type from, enum mr_type to);
// The function whose name is most like this one, or NULL.
const char *mr_fn_nearest(struct mr_span name);
// All functions, for documents and completion: true while `*i` is inside.
bool mr_fn_each(size_t *i, const struct mr_fn **out);
// Letters to change to get from one name to the other (Levenshtein), at most `max` + 1.
unsigned mr_name_distance(struct mr_span a, struct mr_span b, unsigned max);

// For the rows of a row function: the call's memory and errors.
int mr_fn_error(struct mr_fn_call *c, const char *sqlstate, const char *fmt, ...) MR_PRINTF(3, 4);
int mr_fn_str(struct mr_fn_call *c, const void *data, size_t bytes, void *out); // copies
// 22003 in PostgreSQL's words for the type.
int mr_fn_out_of_range(struct mr_fn_call *c, enum mr_type t);
// Of a number that is not negative, rounded to `scale` digits, or to 28 in all. 0 or -ERANGE.
[[nodiscard]] int mr_numeric_sqrt(struct mr_dec x, int scale, struct mr_dec *out);
