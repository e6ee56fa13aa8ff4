// Kafka's primitive types.
#include "dataplane/kafka_wire.h"

struct mr_uuid mr_kin_uuid(struct mr_kin *in)
{
	const uint8_t *p = mr_read_bytes(&in->r, sizeof(struct mr_uuid));
	struct mr_uuid u = {{0}};

	if (p)
		memcpy(u.b, p, sizeof(u.b));
	return u;
}

// A compact length: n + 1, 0 is null. Returns -1 for null.
static int64_t read_compact(struct mr_kin *in)
{
	return (int64_t)mr_read_uvarint32(&in->r) - 1;
}

// `n` bytes; -1 is null, anything lower is bad.
static struct mr_span read_counted(struct mr_kin *in, int64_t n, bool nullable)
{
	if (n < 0) {
		in->r.bad |= n != -1 || !nullable;
		return mr_span(NULL, 0);
	}
	return mr_read_span(&in->r, (size_t)n);
}

static struct mr_span read_string(struct mr_kin *in, bool nullable)
{
	int64_t n = in->flexible ? read_compact(in) : mr_kin_i16(in);

	// The compact form could be longer, but no string of Kafka's may be.
	if (n > INT16_MAX)
		in->r.bad = true;
	return read_counted(in, n, nullable);
}

struct mr_span mr_kin_string(struct mr_kin *in)
{
	return read_string(in, false);
}

struct mr_span mr_kin_nullable_string(struct mr_kin *in)
{
	return read_string(in, true);
}

struct mr_span mr_kin_nullable_bytes(struct mr_kin *in)
{
	return read_counted(in, in->flexible ? read_compact(in) : mr_kin_i32(in), true);
}

int32_t mr_kin_nullable_array(struct mr_kin *in, size_t element_bytes_min)
{
	int64_t n = in->flexible ? read_compact(in) : mr_kin_i32(in);

	if (n < -1 || (n > 0 && (uint64_t)n > mr_read_left(&in->r) / element_bytes_min))
		in->r.bad = true;
	in->elements += n > 0 ? (uint64_t)n : 0;
	if (in->elements > MR_KIN_ELEMENTS_MAX)
		in->r.bad = true;
	return in->r.bad ? 0 : (int32_t)n;
}

int32_t mr_kin_array(struct mr_kin *in, size_t element_bytes_min)
{
	int32_t n = mr_kin_nullable_array(in, element_bytes_min);

	if (n < 0)
		in->r.bad = true;
	return MR_MAX(n, 0);
}

void mr_kin_tags(struct mr_kin *in)
{
	uint32_t count;

	if (!in->flexible)
		return;
	count = mr_read_uvarint32(&in->r);
	for (uint32_t i = 0; i < count && !in->r.bad; i++) {
		mr_read_uvarint32(&in->r); // tag
		mr_read_bytes(&in->r, mr_read_uvarint32(&in->r));
	}
}

static void write_compact(struct mr_kout *out, int64_t n)
{
	mr_write_uvarint(&out->w, (uint64_t)(n + 1));
}

void mr_kout_string(struct mr_kout *out, struct mr_span s)
{
	int64_t n = s.data ? (int64_t)s.bytes : -1;

	MR_ASSERT(n <= INT16_MAX);
	if (out->flexible)
		write_compact(out, n);
	else
		mr_kout_i16(out, (int16_t)n);
	mr_write_span(&out->w, s);
}

void mr_kout_text(struct mr_kout *out, const char *s)
{
	mr_kout_string(out, s ? mr_span_str(s) : mr_span(NULL, 0));
}

void mr_kout_array(struct mr_kout *out, int32_t count)
{
	if (out->flexible)
		write_compact(out, count);
	else
		mr_kout_i32(out, count);
}

void mr_kout_records(struct mr_kout *out, const uint8_t *data, size_t bytes)
{
	if (out->flexible)
		write_compact(out, (int64_t)bytes);
	else
		mr_kout_i32(out, (int32_t)bytes);
	if (bytes < MR_KOUT_CUT_BYTES_MIN || out->cuts_count == MR_KOUT_CUTS_MAX) {
		mr_write_bytes(&out->w, data, bytes);
		return;
	}
	out->cuts[out->cuts_count++] = (struct mr_kout_cut){out->w.at, data, bytes};
}

void mr_kout_tags(struct mr_kout *out)
{
	if (out->flexible)
		mr_write_u8(&out->w, 0);
}
