// Regular expressions: the one door to PCRE2 (libpcre2-8).
//
// Patterns and subjects are UTF-8 that has been checked. Matching has fixed limits on steps, depth
// and memory, so that no pattern can hang a query: what exceeds them is an error. Perl's syntax,
// which PostgreSQL's advanced expressions share but for a few escapes.
#pragma once

#include "host/base/err.h"
#include "host/base/span.h"

enum { MR_REGEX_GROUPS_MAX = 10 }; // \0 to \9

enum mr_regex_flags {
	MR_REGEX_FOLD_CASE = 1,
	MR_REGEX_LINES = 2,    // ^ and $ match at newlines, . and [^x] do not match one
	MR_REGEX_EXTENDED = 4, // white space and comments in the pattern do not count
	MR_REGEX_LITERAL = 8,  // the pattern is plain text
};

struct mr_regex;

struct mr_regex_match {
	uint32_t count; // groups of the pattern, the whole match included
	struct mr_span groups[MR_REGEX_GROUPS_MAX]; // borrow the subject; data NULL: not set
};

// Returns owned. -EINVAL with `diag` (2201B), -ENOMEM with `diag`.
[[nodiscard]] int mr_regex_create(
	struct mr_span pattern, unsigned flags, struct mr_regex **out, struct mr_diag *diag);
// Takes NULL too.
void mr_regex_destroy(struct mr_regex *re);
// Looks for the first match that begins at byte `start` or later. 1, 0, or MR_ERR_LIMIT with `diag`
// (54001). A struct mr_regex may be used by one thread at a time.
[[nodiscard]] int mr_regex_find(struct mr_regex *re, struct mr_span subject, size_t start,
	struct mr_regex_match *out, struct mr_diag *diag);
