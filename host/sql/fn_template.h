// The templates of to_char, to_date and to_timestamp for times: PostgreSQL's (manual, table 9.27).
//
// FM, TM, TH and th stand around a pattern, other characters for themselves; text in double quotes
// is no pattern. Patterns are in capitals or small letters, names also Like This.
#pragma once

#include "host/base/span.h"

enum mr_token {
	K_YEARS_COMMA,
	K_YEAR,
	K_ISO_YEAR,
	K_CENTURY,
	K_ERA,
	K_MONTH,
	K_MON,
	K_MM,
	K_ROMAN,
	K_WEEK_OF_MONTH,
	K_WEEK,
	K_ISO_WEEK,
	K_DDD,
	K_ISO_DDD,
	K_DD,
	K_D,
	K_ISO_D,
	K_DAY,
	K_DY,
	K_JULIAN,
	K_QUARTER,
	K_HH24,
	K_HH12,
	K_MI,
	K_SS,
	K_SECONDS,
	K_FRACTION,
	K_HALF,
	K_TZ,
	K_TZ_HOUR,
	K_TZ_MINUTE,
	K_OFFSET,
	K_EXACT,
	K_NONE,
};

struct mr_pattern {
	const char *text;
	uint8_t token;  // enum mr_token
	uint8_t digits; // of numbers: as many are read where no separator follows
	bool name;      // also written Like This
};

// One pattern with what stands around it, or one character.
struct mr_piece {
	const struct mr_pattern *is;
	const uint8_t *at; // where the pattern or character stands
	size_t bytes;      // from where it was looked for to behind it
	bool fm, tm, quoted;
	char th; // 0, 'h' or 'H'
};

extern const char *const mr_template_months[12], *const mr_template_days[7],
							 *const mr_template_romans[12];

// The piece that begins at `from`. False at the end. `*in_quotes` is kept between the calls.
bool mr_template_next(struct mr_span template, size_t from, bool *in_quotes, struct mr_piece *out);
