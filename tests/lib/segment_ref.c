// See segment_ref.h. zstd and XXH3 are the only things taken from elsewhere.
#include "tests/lib/segment_ref.h"

#include "host/base/hash.h"
#include "host/base/zip.h"

#include <stdlib.h>
#include <string.h>

struct in {
	const uint8_t *p;
	size_t n, at;
	bool bad;
};

static uint64_t get(struct in *r, int bytes)
{
	uint64_t v = 0;

	if (r->bad || r->n - r->at < (size_t)bytes) {
		r->bad = true;
		return 0;
	}
	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)r->p[r->at++] << (8 * i);
	return v;
}

static const uint8_t *take(struct in *r, size_t bytes)
{
	if (r->bad || r->n - r->at < bytes) {
		r->bad = true;
		return NULL;
	}
	r->at += bytes;
	return r->p + r->at - bytes;
}

// ---- streams of integers

static void packed(struct in *r, uint32_t count, int64_t *out)
{
	uint64_t base = get(r, 8);
	unsigned width = (unsigned)get(r, 1);
	const uint8_t *bits = take(r, ((size_t)count * width + 7) / 8);

	for (uint32_t i = 0; bits && i < count; i++) {
		uint64_t v = 0;

		for (unsigned b = 0; b < width; b++) {
			size_t bit = (size_t)i * width + b;

			v |= (uint64_t)(bits[bit / 8] >> (bit % 8) & 1) << b;
		}
		out[i] = (int64_t)(base + v);
	}
}

static void ints(struct in *r, uint32_t count, int64_t *out)
{
	uint8_t kind = count ? (uint8_t)get(r, 1) : 0;

	if (count == 0)
		return;
	if (kind == 1) {
		int64_t v = (int64_t)get(r, 8);

		for (uint32_t i = 0; i < count; i++)
			out[i] = v;
	} else if (kind == 2) {
		packed(r, count, out);
	} else if (kind == 3) {
		out[0] = (int64_t)get(r, 8);
		ints(r, count - 1, out + 1);
		for (uint32_t i = 1; i < count; i++)
			out[i] = (int64_t)((uint64_t)out[i - 1] + (uint64_t)out[i]);
	} else if (kind == 4) {
		uint32_t runs = (uint32_t)get(r, 4), at = 0;
		int64_t *values = calloc(runs + 1, sizeof(*values));
		int64_t *lengths = calloc(runs + 1, sizeof(*lengths));

		ints(r, runs, values);
		ints(r, runs, lengths);
		for (uint32_t i = 0; i < runs; i++)
			for (int64_t k = 0; k < lengths[i] && at < count; k++)
				out[at++] = values[i];
		r->bad |= at != count;
		free(values);
		free(lengths);
	} else if (kind == 5) {
		for (uint32_t i = 0; i < count; i++)
			out[i] = (int64_t)get(r, 8);
	} else {
		r->bad = true;
	}
}

// ---- column blocks

static const int type_bytes[] = {0, 1, 2, 4, 8, 4, 8, 0, -1, 16, 4, 8, 8, -1};

static int width_of(const struct ref_column *c)
{
	if (c->type == 7) // numeric
		return c->precision && c->precision <= 18 ? 8 : 16;
	return type_bytes[c->type];
}

static void set(struct ref_value *v, const void *data, size_t bytes)
{
	v->data = malloc(bytes + 1);
	v->bytes = bytes;
	if (bytes)
		memcpy(v->data, data, bytes);
}

static void decimals(struct in *r, int width, uint32_t rows, struct ref_value *out, int64_t *v)
{
	static const double powers[] = {
		1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	double power = powers[get(r, 1) & 15];

	ints(r, rows, v);
	for (uint32_t i = 0; i < rows; i++) {
		double d = (double)v[i] / power;
		float f = (float)d;

		if (!out[i].null)
			set(&out[i], width == 4 ? (void *)&f : (void *)&d, (size_t)width);
	}
}

static void scaled(struct in *r, uint32_t rows, struct ref_value *out, int64_t *v)
{
	uint8_t scale = (uint8_t)get(r, 1);

	ints(r, rows, v);
	for (uint32_t i = 0; i < rows; i++) {
		__int128 word = (__int128)((unsigned __int128)(__int128)v[i] << 8 | scale);

		if (!out[i].null)
			set(&out[i], &word, sizeof(word));
	}
}

static void strings(struct in *r, uint32_t rows, struct ref_value *out, int64_t *v)
{
	ints(r, rows, v);
	for (uint32_t i = 0; i < rows; i++) {
		const uint8_t *data = take(r, (size_t)v[i]);

		if (data && !out[i].null)
			set(&out[i], data, (size_t)v[i]);
	}
}

static void stream(struct in *r, int width, const struct ref_value *dict, uint32_t dict_count,
	bool is_int, uint32_t rows, struct ref_value *out)
{
	int64_t *v = calloc(rows + 1, sizeof(*v));
	uint8_t kind = is_int ? 0 : (uint8_t)get(r, 1);

	if (is_int) {
		ints(r, rows, v);
		for (uint32_t i = 0; i < rows; i++)
			if (!out[i].null)
				set(&out[i], &v[i], (size_t)width);
	} else if (kind == 16 || kind == 17) {
		const uint8_t *data = take(r, (size_t)width * (kind == 16 ? 1 : rows));

		for (uint32_t i = 0; data && i < rows; i++)
			if (!out[i].null)
				set(&out[i], data + (kind == 16 ? 0 : i * (size_t)width),
					(size_t)width);
	} else if (kind == 18) {
		decimals(r, width, rows, out, v);
	} else if (kind == 19) {
		scaled(r, rows, out, v);
	} else if (kind == 32) {
		ints(r, rows, v);
		for (uint32_t i = 0; i < rows && !r->bad; i++) {
			r->bad |= v[i] < 0 || v[i] >= dict_count;
			if (!r->bad && !out[i].null)
				set(&out[i], dict[v[i]].data, dict[v[i]].bytes);
		}
	} else if (kind == 33) {
		strings(r, rows, out, v);
	} else {
		r->bad = true;
	}
	free(v);
}

struct place {
	uint64_t at, checksum;
	uint32_t bytes, raw_bytes, nulls;
	uint8_t flags;
};

static struct place place(struct in *f)
{
	struct place p = {.at = get(f, 8)};

	p.bytes = (uint32_t)get(f, 4);
	p.raw_bytes = (uint32_t)get(f, 4);
	p.checksum = get(f, 8);
	p.flags = (uint8_t)get(f, 1);
	p.nulls = (uint32_t)get(f, 4);
	return p;
}

// A block's bytes, decompressed; owned.
static uint8_t *bytes_of(const uint8_t *file, size_t bytes, const struct place *p, bool zstd)
{
	uint8_t *raw;
	struct mr_zip *z;

	if (p->at > bytes || p->bytes > bytes - p->at ||
		mr_checksum(file + p->at, p->bytes) != p->checksum)
		return NULL;
	raw = malloc(p->raw_bytes + 1);
	if (!zstd) {
		memcpy(raw, file + p->at, p->bytes);
		return raw;
	}
	if (mr_zip_create(&z) < 0 ||
		mr_zip_decompress_into(z, MR_CODEC_ZSTD, mr_span(file + p->at, p->bytes), raw,
			p->raw_bytes) != (int)p->raw_bytes)
		abort();
	mr_zip_destroy(z);
	return raw;
}

static bool block(const uint8_t *file, size_t bytes, const struct place *p, int width,
	const struct ref_value *dict, uint32_t dict_count, bool is_int, uint32_t rows,
	struct ref_value *out)
{
	uint8_t *raw = bytes_of(file, bytes, p, p->flags & 1);
	struct in r = {raw, p->raw_bytes, 0, raw == NULL};
	uint32_t nulls = 0;

	if (get(&r, 1) & 1) {
		const uint8_t *bits = take(&r, (size_t)(rows + 63) / 64 * 8);

		for (uint32_t i = 0; bits && i < rows; i++) {
			out[i].null = !(bits[i / 8] >> (i % 8) & 1);
			nulls += out[i].null;
		}
	}
	stream(&r, width, dict, dict_count, is_int, rows, out);
	free(raw);
	return !r.bad && r.at == r.n && nulls == p->nulls;
}

// ---- sections

static void skip_bounds(struct in *f, const struct place *p, bool string)
{
	if (p->flags & 2 && string) {
		take(f, get(f, 1));
		take(f, get(f, 1));
	} else if (p->flags & 2) {
		take(f, 16);
	}
	if (p->flags & 4)
		take(f, 16);
}

static bool column(struct in *f, const uint8_t *file, size_t bytes, const uint32_t *block_rows,
	uint32_t blocks, struct ref_column *c)
{
	struct ref_value *dict = NULL;
	uint32_t dict_count;
	uint64_t at = 0;
	bool ok = true;
	int width;

	c->id = get(f, 8);
	c->type = (uint8_t)get(f, 1);
	c->precision = (uint8_t)get(f, 1);
	c->scale = (uint8_t)get(f, 1);
	dict_count = (uint32_t)get(f, 4);
	if (f->bad || c->type == 0 || c->type > 13)
		return false;
	width = width_of(c);
	if (dict_count) {
		struct place p = place(f);

		dict = calloc(dict_count, sizeof(*dict));
		ok = block(file, bytes, &p, -1, NULL, 0, false, dict_count, dict);
	}
	for (uint32_t b = 0; b < blocks && ok && !f->bad; b++) {
		struct place p = place(f);
		bool is_int = width != -1 && width != 16 && c->type != 5 && c->type != 6;

		skip_bounds(f, &p, width == -1);
		ok = block(file, bytes, &p, width, dict, dict_count, is_int, block_rows[b],
			c->values + at);
		at += block_rows[b];
	}
	for (uint32_t i = 0; i < dict_count; i++)
		free(dict[i].data);
	free(dict);
	return ok && !f->bad;
}

static bool section(struct in *f, const uint8_t *file, size_t bytes, struct ref_section *s)
{
	uint32_t blocks, *rows;
	bool ok = true;

	s->columns_count = (uint32_t)get(f, 4);
	blocks = (uint32_t)get(f, 4);
	if (f->bad || s->columns_count > 4096 || blocks > 1 << 20)
		return false;
	rows = calloc(blocks + 1, sizeof(*rows));
	for (uint32_t i = 0; i < blocks; i++) {
		rows[i] = (uint32_t)get(f, 4);
		s->rows += rows[i];
	}
	s->columns = calloc(s->columns_count + 1, sizeof(*s->columns));
	for (uint32_t i = 0; i < s->columns_count && ok; i++) {
		s->columns[i].values = calloc(s->rows + 1, sizeof(struct ref_value));
		ok = column(f, file, bytes, rows, blocks, &s->columns[i]);
	}
	free(rows);
	return ok;
}

bool ref_segment_read(const uint8_t *file, size_t bytes, struct ref_segment *out)
{
	struct in head = {file, 4096, 0, bytes < 4096 + 64};
	struct in tail = {file + bytes - 64, 64, 0, head.bad};
	struct place footer = {0};
	struct in f;
	uint8_t *raw;
	bool ok;

	memset(out, 0, sizeof(*out));
	if (head.bad || get(&head, 8) != mr_checksum(file + 8, 4088) ||
		get(&tail, 8) != mr_checksum(file + bytes - 56, 56))
		return false;
	if (get(&head, 8) != 0x3167657365636c6dull || get(&head, 2) != 1)
		return false;
	get(&head, 6);
	out->id = get(&head, 8);
	out->table_id = get(&head, 8);
	out->fingerprint = get(&head, 8);
	if (get(&tail, 8) != 0x31646e656765736dull || get(&tail, 8) != out->id)
		return false;
	footer.at = get(&tail, 8);
	footer.bytes = (uint32_t)get(&tail, 4);
	footer.raw_bytes = (uint32_t)get(&tail, 4);
	footer.checksum = get(&tail, 8);
	raw = bytes_of(file, bytes, &footer, footer.bytes != footer.raw_bytes);
	if (!raw)
		return false;
	f = (struct in){raw, footer.raw_bytes, 0, false};
	ok = section(&f, file, bytes, &out->sections[0]) &&
	     section(&f, file, bytes, &out->sections[1]) && f.at == f.n;
	free(raw);
	return ok;
}

void ref_segment_free(struct ref_segment *s)
{
	for (int k = 0; k < 2; k++) {
		struct ref_section *sec = &s->sections[k];

		for (uint32_t c = 0; c < sec->columns_count && sec->columns; c++) {
			for (uint64_t i = 0; sec->columns[c].values && i < sec->rows; i++)
				free(sec->columns[c].values[i].data);
			free(sec->columns[c].values);
		}
		free(sec->columns);
	}
}
