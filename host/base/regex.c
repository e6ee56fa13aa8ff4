// PCRE2 behind one door, with limits.
#include "host/base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>

// Backtracking steps of one search, and the memory of its backtracking: some 50 ms at the worst.
enum { STEPS_MAX = 1000000, HEAP_KIB_MAX = 4096, PATTERN_BYTES_MAX = 64 << 10 };

struct mr_regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
	uint32_t groups;
};

static uint32_t options_of(unsigned flags)
{
	uint32_t o =
		PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;

	o |= flags & MR_REGEX_FOLD_CASE ? PCRE2_CASELESS : 0;
	o |= flags & MR_REGEX_LINES ? PCRE2_MULTILINE : PCRE2_DOTALL;
	o |= flags & MR_REGEX_EXTENDED ? PCRE2_EXTENDED : 0;
	// Literal patterns allow few other options.
	if (flags & MR_REGEX_LITERAL)
		o = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_LITERAL | (o & PCRE2_CASELESS);
	return o;
}

int mr_regex_create(
	struct mr_span pattern, unsigned flags, struct mr_regex **out, struct mr_diag *diag)
{
	struct mr_regex *re;
	PCRE2_SIZE at = 0;
	int error = 0;

	if (pattern.bytes > PATTERN_BYTES_MAX)
		return mr_diag_set(
			diag, -EINVAL, "2201B", 0, "regular expression is longer than 64 KiB");
	re = calloc(1, sizeof(*re));
	if (!re)
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	re->code = pcre2_compile(pattern.data ? pattern.data : (PCRE2_SPTR) "", pattern.bytes,
		options_of(flags), &error, &at, NULL);
	if (!re->code) {
		PCRE2_UCHAR text[120] = "";

		pcre2_get_error_message(error, text, sizeof(text));
		free(re);
		return mr_diag_set(diag, -EINVAL, "2201B", 0,
			"invalid regular expression: %s at character %zu", (const char *)text,
			(size_t)at + 1);
	}
	re->data = pcre2_match_data_create_from_pattern(re->code, NULL);
	re->limits = pcre2_match_context_create(NULL);
	if (!re->data || !re->limits) {
		mr_regex_destroy(re);
		return mr_diag_set(diag, -ENOMEM, "53200", 0, "out of memory");
	}
	pcre2_set_match_limit(re->limits, STEPS_MAX);
	pcre2_set_heap_limit(re->limits, HEAP_KIB_MAX);
	pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &re->groups);
	*out = re;
	return 0;
}

void mr_regex_destroy(struct mr_regex *re)
{
	if (!re)
		return;
	pcre2_match_context_free(re->limits);
	pcre2_match_data_free(re->data);
	pcre2_code_free(re->code);
	free(re);
}

int mr_regex_find(struct mr_regex *re, struct mr_span subject, size_t start,
	struct mr_regex_match *out, struct mr_diag *diag)
{
	const uint8_t *text = subject.data ? subject.data : (const uint8_t *)"";
	int rc = pcre2_match(
		re->code, text, subject.bytes, start, PCRE2_NO_UTF_CHECK, re->data, re->limits);
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->data);

	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0)
		return mr_diag_set(diag, MR_ERR_LIMIT, "54001", 0,
			"regular expression takes too many steps to match");
	*out = (struct mr_regex_match){.count = re->groups + 1};
	for (uint32_t i = 0; i <= re->groups && i < MR_REGEX_GROUPS_MAX; i++)
		if (at[2 * i] != PCRE2_UNSET && at[2 * i + 1] >= at[2 * i])
			out->groups[i] = mr_span(text + at[2 * i], at[2 * i + 1] - at[2 * i]);
	return 1;
}
