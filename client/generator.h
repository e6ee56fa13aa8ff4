// Clickstream events, seeded: the same seed gives the same bytes on every machine.
//
// A row is one JSON object of ten fields, about 224 bytes on average:
//
//   {"event_time":1767225600123,"user_id":6364138,"ip":"92.13.200.7","category":"books",
//    "country":"DE","page_url":"/books/item/mini-lamp-00042?ref=mail","amount":31.07,
//    "response_time_ms":58.13,"status":200,"is_bot":false}
//
//   event_time        epoch ms; the stream's clock goes on by 10 ms a row in the mean; a fifth of
//                     the rows is up to 5 s late, the others up to 0.25 s
//   user_id           10 M users, Zipf with s = 0.75 (Gray et al., SIGMOD 1994)
//   ip                of the user; one request in 16 comes from somewhere else
//   category          20, Zipf s = 1;  country: 200, Zipf s = 1, of the user
//   page_url          5,000 in each category, Zipf s = 1
//   amount, response_time_ms   near log-normal, two decimals
//   status            eight codes, 92 % are 200;  is_bot: 3 %
//
// Only integers, +, -, *, / and sqrt are used, which IEEE 754 rounds in one way everywhere: no libm
// whose last bit differs between versions.
#pragma once

#include "host/base/buf.h"
#include "host/base/rand.h"

// 2026-01-01T00:00:00Z: the clock of the first row.
#define MR_GENERATOR_EPOCH_MS INT64_C(1767225600000)

// No row is longer.
#define MR_GENERATOR_ROW_BYTES_MAX 384

struct mr_generator;

// Returns owned: about 6 MiB of tables. `clock_ms` is the clock of the first row. 0 or -ENOMEM.
[[nodiscard]] int mr_generator_create(uint64_t seed, int64_t clock_ms, struct mr_generator **out);
void mr_generator_destroy(struct mr_generator *g);

// Writes the next row, without a line end, to `out` (MR_GENERATOR_ROW_BYTES_MAX bytes). Returns its
// bytes; `*event_time_ms` is its event time.
size_t mr_generator_row(struct mr_generator *g, uint8_t *out, int64_t *event_time_ms);

// Columns of a table over these rows, in SQL, and what they are called.
extern const char mr_generator_columns_sql[];
