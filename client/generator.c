// Clickstream events.
//
// Everything that needs more than a few cycles is a table made once: discrete distributions are
// 65,536 slots indexed by 16 random bits, log-normal values 4,097 points that are interpolated, and
// the page addresses are text. What is left per row is about ten random numbers and copying.
#include "client/generator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	CATEGORIES = 20,
	COUNTRIES = 200,
	URLS_PER_CATEGORY = 5000,
	USERS = 10000000,
	SLOTS = 1 << 16,
	URL_BYTES = 64,
	POINTS_BITS = 12,
	POINTS = 1 << POINTS_BITS,
	MEAN_GAP_US = 10000,
	LATE_MS = 5000,
	USUALLY_LATE_MS = 250,
};

const char mr_generator_columns_sql[] =
	"event_time timestamptz, user_id bigint, ip text, category text, country text, "
	"page_url text, amount numeric(12,2), response_time_ms double precision, "
	"status smallint, is_bot boolean";

static const char *const categories[CATEGORIES] = {"electronics", "fashion", "grocery", "home",
	"beauty", "sports", "toys", "books", "automotive", "garden", "music", "travel", "health",
	"jewelry", "office", "pets", "software", "games", "art", "tickets"};

static const char countries[] =
	"US CN IN BR DE GB JP FR RU ID MX IT KR ES CA TR AU PL NL AR TH VN PH EG NG PK BD ZA SE BE "
	"CH AT NO DK FI IE PT GR CZ HU RO UA IL AE SA IR IQ MA DZ KE ET GH TZ UG CM CI SN TN LY SD "
	"AO MZ ZM ZW MG MW ML BF NE TD GN RW BJ BI TG SL LR MR ER GM GA NA BW LS SZ GQ DJ KM CV ST "
	"SC MU CO PE VE CL EC GT CU BO HT DO HN PY NI SV CR PA UY JM TT GY SR BB BS BZ LC GD VC AG "
	"DM KN NZ PG FJ SB VU WS TO KI FM MH PW NR TV MY SG MM KH LA LK NP BT MV AF KZ UZ TM KG TJ "
	"MN HK TW MO KP BN TL GE AM AZ BY MD LT LV EE SK SI HR BA RS ME MK AL BG CY MT LU IS LI MC "
	"SM AD VA JO LB SY YE OM KW QA BH PS SO SS CF CG CD GW PR GL ";

static_assert(sizeof(countries) == COUNTRIES * 3 + 1);

static const char *const sections[13] = {"item", "item", "item", "list", "search", "item", "cart",
	"review", "item", "checkout", "offer", "item", "compare"};
static const char *const words[16] = {"red", "blue", "mini", "pro", "max", "eco", "smart", "ultra",
	"classic", "soft", "prime", "light", "fresh", "urban", "retro", "alpha"};
static const char *const nouns[16] = {"lamp", "shoe", "mouse", "chair", "phone", "bottle", "watch",
	"jacket", "camera", "tent", "guitar", "ring", "puzzle", "desk", "ball", "cable"};
static const char *const refs[8] = {
	"", "", "", "?ref=mail", "?ref=search", "?utm_source=ads", "", "?ref=home"};

static const struct {
	const char *code;
	double weight;
} statuses[] = {{"200", 0.92}, {"404", 0.03}, {"301", 0.015}, {"302", 0.012}, {"500", 0.008},
	{"503", 0.005}, {"401", 0.006}, {"429", 0.004}};

struct url {
	uint8_t bytes;
	char text[URL_BYTES - 1];
};

struct mr_generator {
	struct mr_rand rand;
	int64_t clock_us;
	double zeta_n, zeta_2, eta; // of the users
	uint16_t category_of[SLOTS], country_of[SLOTS], url_of[SLOTS];
	uint8_t status_of[SLOTS];
	uint32_t amount_of[POINTS + 1], response_of[POINTS + 1]; // hundredths
	struct url urls[CATEGORIES * URLS_PER_CATEGORY];
};

// The finaliser of a 32-bit hash: an even, repeatable scatter.
static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

// sqrt is exact to the last bit by IEEE 754, as + and * are; the compiler makes one instruction.
static double fourth_root(double x)
{
	return __builtin_sqrt(__builtin_sqrt(x));
}

// e^x by squaring: the series converges fast on x / 1024, and ten squarings bring it back.
static double exp_plain(double x)
{
	double y = x / 1024, term = 1, sum = 1;

	for (int i = 1; i < 10; i++) {
		term = term * y / i;
		sum += term;
	}
	for (int i = 0; i < 10; i++)
		sum *= sum;
	return sum;
}

static void fill_zipf(uint16_t *slots, int count)
{
	double total = 0, sum = 0;
	int from = 0;

	for (int i = 0; i < count; i++)
		total += 1.0 / (i + 1);
	for (int i = 0; i < count; i++) {
		int to;

		sum += 1.0 / (i + 1);
		to = i + 1 == count ? SLOTS : (int)(sum / total * SLOTS + 0.5);
		for (; from < to; from++)
			slots[from] = (uint16_t)i;
	}
}

static void fill_statuses(uint8_t *slots)
{
	double sum = 0;
	int from = 0;

	for (size_t i = 0; i < MR_COUNT_OF(statuses); i++) {
		int to;

		sum += statuses[i].weight;
		to = i + 1 == MR_COUNT_OF(statuses) ? SLOTS : (int)(sum * SLOTS + 0.5);
		for (; from < to; from++)
			slots[from] = (uint8_t)i;
	}
}

// Hundredths of e^(mu + sigma * z), z from -3.46 to 3.46: the reach of four uniform numbers' sum.
static void fill_log_normal(uint32_t *points, double mu, double sigma, uint32_t most)
{
	const double reach = 2 * __builtin_sqrt(3.0);

	for (int i = 0; i <= POINTS; i++) {
		double z = reach * (2.0 * i / POINTS - 1);
		double v = 100 * exp_plain(mu + sigma * z) + 0.5;

		points[i] = v < 1 ? 1 : v > most ? most : (uint32_t)v;
	}
}

static void fill_urls(struct url *urls)
{
	for (uint32_t i = 0; i < CATEGORIES * URLS_PER_CATEGORY; i++) {
		uint32_t h = mix(i + 1);
		int n = snprintf(urls[i].text, sizeof(urls[i].text), "/%s/%s/%s-%s-%05u%s",
			categories[i / URLS_PER_CATEGORY], sections[h % MR_COUNT_OF(sections)],
			words[h >> 8 & 15], nouns[h >> 12 & 15], i % URLS_PER_CATEGORY,
			refs[h >> 16 & 7]);

		MR_ASSERT(n > 0 && (size_t)n < sizeof(urls[i].text));
		urls[i].bytes = (uint8_t)n;
	}
}

// Gray et al. 1994 for s = 0.75. The sum of i^-0.75 over all users is, by Euler and Maclaurin,
// 4 N^(1/4) + zeta(3/4) + N^(-3/4) / 2, right to 13 digits.
static void init_users(struct mr_generator *g)
{
	const double n = USERS, zeta_three_quarters = -3.441285386945222;
	double root = fourth_root(n);

	g->zeta_n = 4 * root + zeta_three_quarters + 0.5 / (root * root * root);
	g->zeta_2 = 1 + 1 / (fourth_root(2) * __builtin_sqrt(2.0));
	g->eta = (1 - fourth_root(2 / n)) / (1 - g->zeta_2 / g->zeta_n);
}

int mr_generator_create(uint64_t seed, int64_t clock_ms, struct mr_generator **out)
{
	struct mr_generator *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	mr_rand_init(&g->rand, seed);
	g->clock_us = clock_ms * 1000;
	init_users(g);
	fill_zipf(g->category_of, CATEGORIES);
	fill_zipf(g->country_of, COUNTRIES);
	fill_zipf(g->url_of, URLS_PER_CATEGORY);
	fill_statuses(g->status_of);
	fill_log_normal(g->amount_of, 3.4, 1.0, 9999999);
	fill_log_normal(g->response_of, 4.1, 0.8, 1999999);
	fill_urls(g->urls);
	*out = g;
	return 0;
}

void mr_generator_destroy(struct mr_generator *g)
{
	free(g);
}

static uint32_t next_user(struct mr_generator *g)
{
	double u = mr_rand_unit(&g->rand), uz = u * g->zeta_n, x;
	uint64_t rank;

	if (uz < 1) {
		rank = 0;
	} else if (uz < g->zeta_2) {
		rank = 1;
	} else {
		x = g->eta * u - g->eta + 1;
		rank = (uint64_t)(USERS * (x * x) * (x * x));
		rank = MR_MIN(rank, USERS - 1);
	}
	// Ranks are spread over the ids, so that heavy users are not neighbours.
	return (uint32_t)(1 + (rank * 6364137 + 1234567) % USERS);
}

// 64 random bits: their four 16-bit parts sum up to a bell from 0 to 4 * 65535.
static uint32_t next_log_normal(struct mr_generator *g, const uint32_t *points)
{
	uint64_t r = mr_rand_u64(&g->rand);
	uint32_t sum =
		(uint32_t)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48));
	uint32_t i = sum >> 6, part = sum & 63; // 2^18 values over 2^12 points

	return points[i] + (uint32_t)((uint64_t)(points[i + 1] - points[i]) * part >> 6);
}

static uint8_t *put_text(uint8_t *at, const char *text, size_t bytes)
{
	memcpy(at, text, bytes);
	return at + bytes;
}

#define PUT(at, literal) put_text(at, literal, sizeof(literal) - 1)

static uint8_t *put_number(uint8_t *at, uint64_t v)
{
	uint8_t text[20];
	size_t n = sizeof(text);

	do
		text[--n] = (uint8_t)('0' + v % 10);
	while (v /= 10);
	memcpy(at, text + n, sizeof(text) - n);
	return at + sizeof(text) - n;
}

static uint8_t *put_hundredths(uint8_t *at, uint32_t v)
{
	at = put_number(at, v / 100);
	*at++ = '.';
	*at++ = (uint8_t)('0' + v / 10 % 10);
	*at++ = (uint8_t)('0' + v % 10);
	return at;
}

static uint8_t *put_ip(uint8_t *at, uint32_t ip)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		at = put_number(at, ip >> shift & 255);
		if (shift)
			*at++ = '.';
	}
	return at;
}

static int64_t next_time_ms(struct mr_generator *g)
{
	uint64_t r = mr_rand_u64(&g->rand);
	int64_t late_ms = (int64_t)((r >> 32 & 0xff) < 51 ? (r >> 40) % LATE_MS
							  : (r >> 40) % USUALLY_LATE_MS);

	g->clock_us += (int64_t)((r & 0xffffffff) * (2 * MEAN_GAP_US) >> 32);
	return g->clock_us / 1000 - late_ms;
}

// One request in 16 comes from an address that is not the user's own.
static uint8_t *put_user(uint8_t *at, uint32_t user, uint32_t moved)
{
	uint32_t home = mix(user);

	at = PUT(at, ",\"user_id\":");
	at = put_number(at, user);
	at = PUT(at, ",\"ip\":\"");
	return put_ip(at, moved & 15 ? home : mix(home ^ (moved + 1) * 0x9e3779b9u));
}

size_t mr_generator_row(struct mr_generator *g, uint8_t *out, int64_t *event_time_ms)
{
	int64_t time_ms = next_time_ms(g);
	uint64_t r = mr_rand_u64(&g->rand);
	uint32_t category = g->category_of[r & 0xffff];
	const struct url *url =
		&g->urls[category * URLS_PER_CATEGORY + g->url_of[r >> 16 & 0xffff]];
	uint32_t user = next_user(g);
	const char *country = countries + 3 * g->country_of[mix(user ^ 0x5bd1e995u) >> 16];
	uint32_t flags = (uint32_t)(mr_rand_u64(&g->rand) >> 32);
	uint8_t *at = out;

	at = PUT(at, "{\"event_time\":");
	at = put_number(at, (uint64_t)time_ms);
	at = put_user(at, user, (uint32_t)(r >> 32));
	at = PUT(at, "\",\"category\":\"");
	at = put_text(at, categories[category], strlen(categories[category]));
	at = PUT(at, "\",\"country\":\"");
	at = put_text(at, country, 2);
	at = PUT(at, "\",\"page_url\":\"");
	at = put_text(at, url->text, url->bytes);
	at = PUT(at, "\",\"amount\":");
	at = put_hundredths(at, next_log_normal(g, g->amount_of));
	at = PUT(at, ",\"response_time_ms\":");
	at = put_hundredths(at, next_log_normal(g, g->response_of));
	at = PUT(at, ",\"status\":");
	at = put_text(at, statuses[g->status_of[flags >> 16]].code, 3);
	at = (flags & 0xffff) < 1966 ? PUT(at, ",\"is_bot\":true}") : PUT(at, ",\"is_bot\":false}");
	*event_time_ms = time_ms;
	return (size_t)(at - out);
}
