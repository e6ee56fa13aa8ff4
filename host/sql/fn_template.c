// The table of patterns, and cutting a template into them.
#include "host/sql/fn_template.h"

#include <ctype.h>
#include <string.h>

const char *const mr_template_months[12] = {"January", "February", "March", "April", "May", "June",
	"July", "August", "September", "October", "November", "December"};
const char *const mr_template_days[7] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
const char *const mr_template_romans[12] = {
	"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"};

// Of patterns that begin alike the longest comes first.
static const struct mr_pattern patterns[] = {
	{"Y,YYY", K_YEARS_COMMA, 5, false},
	{"YYYY", K_YEAR, 4, false},
	{"YYY", K_YEAR, 3, false},
	{"YY", K_YEAR, 2, false},
	{"Y", K_YEAR, 1, false},
	{"IYYY", K_ISO_YEAR, 4, false},
	{"IYY", K_ISO_YEAR, 3, false},
	{"IY", K_ISO_YEAR, 2, false},
	{"IDDD", K_ISO_DDD, 3, false},
	{"ID", K_ISO_D, 1, false},
	{"IW", K_ISO_WEEK, 2, false},
	{"I", K_ISO_YEAR, 1, false},
	{"CC", K_CENTURY, 2, false},
	{"A.D.", K_ERA, 0, false},
	{"B.C.", K_ERA, 0, false},
	{"AD", K_ERA, 0, false},
	{"BC", K_ERA, 0, false},
	{"MONTH", K_MONTH, 0, true},
	{"MON", K_MON, 0, true},
	{"MM", K_MM, 2, false},
	{"RM", K_ROMAN, 0, false},
	{"DAY", K_DAY, 0, true},
	{"DY", K_DY, 0, true},
	{"DDD", K_DDD, 3, false},
	{"DD", K_DD, 2, false},
	{"D", K_D, 1, false},
	{"J", K_JULIAN, 0, false},
	{"Q", K_QUARTER, 1, false},
	{"HH24", K_HH24, 2, false},
	{"HH12", K_HH12, 2, false},
	{"HH", K_HH12, 2, false},
	{"MI", K_MI, 2, false},
	{"SSSSS", K_SECONDS, 0, false},
	{"SSSS", K_SECONDS, 0, false},
	{"SS", K_SS, 2, false},
	{"MS", K_FRACTION, 3, false},
	{"US", K_FRACTION, 6, false},
	{"FF1", K_FRACTION, 1, false},
	{"FF2", K_FRACTION, 2, false},
	{"FF3", K_FRACTION, 3, false},
	{"FF4", K_FRACTION, 4, false},
	{"FF5", K_FRACTION, 5, false},
	{"FF6", K_FRACTION, 6, false},
	{"FX", K_EXACT, 0, false},
	{"A.M.", K_HALF, 0, false},
	{"P.M.", K_HALF, 0, false},
	{"AM", K_HALF, 0, false},
	{"PM", K_HALF, 0, false},
	{"TZH", K_TZ_HOUR, 2, false},
	{"TZM", K_TZ_MINUTE, 2, false},
	{"TZ", K_TZ, 0, false},
	{"OF", K_OFFSET, 0, false},
	{"WW", K_WEEK, 2, false},
	{"W", K_WEEK_OF_MONTH, 1, false},
};

static const struct mr_pattern plain = {"", K_NONE, 0, false};

static bool matches(const struct mr_pattern *p, const char *at, size_t left)
{
	size_t n = strlen(p->text);
	bool upper = true, lower = true, like_this = p->name;

	if (left < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		upper &= at[i] == p->text[i];
		lower &= at[i] == tolower(p->text[i]);
		like_this &= at[i] == (i ? tolower(p->text[i]) : p->text[i]);
	}
	return upper || lower || like_this;
}

static bool word_at(struct mr_span f, size_t at, const char *upper, const char *lower)
{
	return f.bytes >= at + 2 &&
	       (memcmp(f.data + at, upper, 2) == 0 || memcmp(f.data + at, lower, 2) == 0);
}

bool mr_template_next(struct mr_span f, size_t from, bool *in_quotes, struct mr_piece *p)
{
	size_t at = from;

	*p = (struct mr_piece){.is = &plain};
	while (at < f.bytes && f.data[at] == '"') {
		*in_quotes = !*in_quotes;
		at++;
	}
	for (; !*in_quotes; at += 2) {
		if (word_at(f, at, "FM", "fm"))
			p->fm = true;
		else if (word_at(f, at, "TM", "tm"))
			p->tm = true;
		else
			break;
	}
	p->quoted = *in_quotes;
	for (size_t i = 0; i < MR_COUNT_OF(patterns) && !*in_quotes; i++)
		if (matches(&patterns[i], (const char *)f.data + at, f.bytes - at)) {
			p->is = &patterns[i];
			p->at = f.data + at;
			at += strlen(patterns[i].text);
			if (word_at(f, at, "TH", "th")) {
				p->th = f.data[at] == 'T' ? 'H' : 'h';
				at += 2;
			}
			p->bytes = at - from;
			return true;
		}
	// A backslash hides a quote, within quotes any character.
	if (at + 1 < f.bytes && f.data[at] == '\\' && (*in_quotes || f.data[at + 1] == '"'))
		at++;
	p->at = f.data + at;
	p->bytes = at + 1 - from;
	return at < f.bytes;
}
