// Dates, timestamps, intervals. What depends on the session's time zone or clock is stable.
#include "host/base/clock.h"
#include "host/sql/fn_int.h"

static const struct mr_tz *tz_of(const struct mr_fn_call *c)
{
	return c->ev->query->tz ? c->ev->query->tz : mr_tz_utc();
}

static int checked(struct mr_fn_call *c, int rc)
{
	return rc < 0 ? mr_fn_out_of_range(c, (enum mr_type)c->e->fn->ret) : 0;
}

// ---- Operators ----

static int ts_add(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_ts_add(ARG(int64_t, 0), ARG(struct mr_interval, 1), out));
}

static int tz_add(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_tstz_add(ARG(int64_t, 0), ARG(struct mr_interval, 1), tz_of(c), out));
}

static int iv_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_ts_add(ARG(int64_t, 1), ARG(struct mr_interval, 0), out));
}

static int iv_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_tstz_add(ARG(int64_t, 1), ARG(struct mr_interval, 0), tz_of(c), out));
}

static int ts_minus(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_interval v;

	if (mr_interval_neg(ARG(struct mr_interval, 1), &v) < 0)
		return mr_fn_out_of_range(c, MR_TYPE_INTERVAL);
	return checked(c, mr_ts_add(ARG(int64_t, 0), v, out));
}

static int tz_minus(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_interval v;

	if (mr_interval_neg(ARG(struct mr_interval, 1), &v) < 0)
		return mr_fn_out_of_range(c, MR_TYPE_INTERVAL);
	return checked(c, mr_tstz_add(ARG(int64_t, 0), v, tz_of(c), out));
}

static int ts_sub(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_ts_sub(ARG(int64_t, 0), ARG(int64_t, 1), out));
}

static int days_add(struct mr_fn_call *c, int64_t d, int64_t n, void *out)
{
	d += n;
	if (d < MR_DATE_MIN || d > MR_DATE_MAX)
		return mr_fn_out_of_range(c, MR_TYPE_DATE);
	RESULT(int32_t) = (int32_t)d;
	return 0;
}

static int d_plus_i(struct mr_fn_call *c, const void *const *a, void *out)
{
	return days_add(c, ARG(int32_t, 0), ARG(int32_t, 1), out);
}

static int i_plus_d(struct mr_fn_call *c, const void *const *a, void *out)
{
	return days_add(c, ARG(int32_t, 1), ARG(int32_t, 0), out);
}

static int d_minus_i(struct mr_fn_call *c, const void *const *a, void *out)
{
	return days_add(c, ARG(int32_t, 0), -(int64_t)ARG(int32_t, 1), out);
}

static int d_minus_d(struct mr_fn_call *c, const void *const *a, void *out)
{
	if (!mr_date_is_finite(ARG(int32_t, 0)) || !mr_date_is_finite(ARG(int32_t, 1)))
		return mr_fn_error(c, "22008", "cannot subtract infinite dates");
	RESULT(int32_t) = ARG(int32_t, 0) - ARG(int32_t, 1);
	return 0;
}

static int d_iv(struct mr_fn_call *c, const void *const *a, int64_t sign, void *out)
{
	struct mr_interval v = ARG(struct mr_interval, 1);
	int64_t t = ARG(int32_t, 0) * MR_US_PER_DAY;

	if (!mr_date_is_finite(ARG(int32_t, 0)) || ARG(int32_t, 0) > MR_TS_DAY_MAX)
		return mr_fn_error(c, "22008", "date out of range for timestamp");
	if (sign < 0 && mr_interval_neg(v, &v) < 0)
		return mr_fn_out_of_range(c, MR_TYPE_INTERVAL);
	return checked(c, mr_ts_add(t, v, out));
}

static int d_plus_iv(struct mr_fn_call *c, const void *const *a, void *out)
{
	return d_iv(c, a, 1, out);
}

static int d_minus_iv(struct mr_fn_call *c, const void *const *a, void *out)
{
	return d_iv(c, a, -1, out);
}

static int iv_add(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(
		c, mr_interval_add(ARG(struct mr_interval, 0), ARG(struct mr_interval, 1), out));
}

static int iv_sub(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_interval v;

	if (mr_interval_neg(ARG(struct mr_interval, 1), &v) < 0)
		return mr_fn_out_of_range(c, MR_TYPE_INTERVAL);
	return checked(c, mr_interval_add(ARG(struct mr_interval, 0), v, out));
}

static int iv_neg(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_interval_neg(ARG(struct mr_interval, 0), out));
}

static int iv_mul(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_interval_mul(ARG(struct mr_interval, 0), ARG(double, 1), out));
}

static int mul_iv(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_interval_mul(ARG(struct mr_interval, 1), ARG(double, 0), out));
}

static int iv_div(struct mr_fn_call *c, const void *const *a, void *out)
{
	if (ARG(double, 1) == 0)
		return mr_fn_error(c, "22012", "division by zero");
	return checked(c, mr_interval_mul(ARG(struct mr_interval, 0), 1 / ARG(double, 1), out));
}

// ---- The clock ----

static int now(struct mr_fn_call *c, const void *const *, void *out)
{
	RESULT(int64_t) = c->ev->query->now_us;
	return 0;
}

static int local_now(struct mr_fn_call *c, const void *const *, void *out)
{
	int64_t t = c->ev->query->now_us;

	RESULT(int64_t) = t + (int64_t)mr_tz_offset(tz_of(c), t, NULL) * MR_US_PER_S;
	return 0;
}

static int current_date(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t local;

	local_now(c, a, &local);
	RESULT(int32_t) = (int32_t)(local / MR_US_PER_DAY - (local % MR_US_PER_DAY < 0));
	return 0;
}

static int clock_now(struct mr_fn_call *, const void *const *, void *out)
{
	RESULT(int64_t) = mr_wall_us(&mr_clock_system);
	return 0;
}

// ---- Truncation and fields ----

static int unit_of(struct mr_fn_call *c, const void *name, const char *type, enum mr_field *out)
{
	struct mr_span s = fn_span(name);

	if (mr_field_find(s, out))
		return 0;
	return mr_fn_error(c, "22023", "unit \"%.*s\" not recognized for type %s", (int)s.bytes,
		(const char *)s.data, type);
}

static int trunc_to(struct mr_fn_call *c, const void *unit, int64_t t, const struct mr_tz *tz,
	const char *type, void *out)
{
	enum mr_field f;
	int rc = unit_of(c, unit, type, &f);

	if (rc < 0)
		return rc;
	RESULT(int64_t) = t;
	if (!mr_ts_is_finite(t))
		return 0;
	if (mr_ts_trunc(f, t, tz, out) == -EINVAL)
		return mr_fn_error(c, "0A000", "unit \"%.*s\" not supported for type %s",
			(int)fn_span(unit).bytes, (const char *)fn_span(unit).data, type);
	return 0;
}

static int trunc_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	return trunc_to(c, a[0], ARG(int64_t, 1), NULL, "timestamp without time zone", out);
}

static int named_tz(struct mr_fn_call *c, const void *name, const struct mr_tz **out)
{
	struct mr_span s = fn_span(name);

	*out = mr_tz_find_short(s);
	if (*out)
		return 0;
	return mr_fn_error(c, "22023", "time zone \"%.*s\" not recognized", (int)s.bytes,
		(const char *)s.data);
}

static int trunc_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	const struct mr_tz *tz = tz_of(c);

	if (c->args_count > 2 && named_tz(c, a[2], &tz) < 0)
		return -EINVAL;
	return trunc_to(c, a[0], ARG(int64_t, 1), tz, "timestamp with time zone", out);
}

static int date_bin(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_interval stride = ARG(struct mr_interval, 0);
	int rc;

	if (stride.months)
		return mr_fn_error(c, "0A000",
			"timestamps cannot be binned into intervals containing months or years");
	rc = mr_ts_bin(stride, ARG(int64_t, 1), ARG(int64_t, 2), out);
	if (rc == -EINVAL)
		return mr_fn_error(c, "22008", "stride must be greater than zero");
	return checked(c, rc);
}

// What extract and date_part make their result of.
struct part {
	mr_i128 millionths;
	int scale;    // digits to show
	int infinite; // 1 or -1: the field of an infinite time
	bool julian;  // instead: whole days and microseconds
	int64_t days, us;
};

static int extract_ts(enum mr_field f, int64_t t, const struct mr_tz *tz, struct part *p)
{
	if (!mr_ts_is_finite(t)) {
		// Fields that go round are NULL, those that only grow are infinite.
		bool grows = (f >= MR_FIELD_YEAR && f <= MR_FIELD_MILLENNIUM) ||
			     f == MR_FIELD_ISOYEAR || f == MR_FIELD_EPOCH || f == MR_FIELD_JULIAN;

		p->infinite = t == MR_TS_INFINITY ? 1 : -1;
		return grows ? 0 : 1;
	}
	p->julian = f == MR_FIELD_JULIAN;
	if (!p->julian)
		return mr_ts_extract(f, t, tz, &p->millionths, &p->scale);
	t += tz ? (int64_t)mr_tz_offset(tz, t, NULL) * MR_US_PER_S : 0;
	p->days = t / MR_US_PER_DAY - (t % MR_US_PER_DAY < 0);
	p->us = t - p->days * MR_US_PER_DAY;
	p->days -= MR_DATE_MIN;
	return 0;
}

static int64_t midnight(int32_t day)
{
	return day == MR_DATE_INFINITY         ? MR_TS_INFINITY
	       : day == MR_DATE_MINUS_INFINITY ? MR_TS_MINUS_INFINITY
					       : day * MR_US_PER_DAY;
}

// A date has no time of day; its counts are whole. date_part takes it for its midnight.
static int extract_date(struct mr_fn_call *c, enum mr_field f, int32_t day, struct part *p)
{
	bool whole = c->e->fn->ret == MR_TYPE_NUMERIC;
	int rc = whole && f <= MR_FIELD_HOUR ? -EINVAL : extract_ts(f, midnight(day), NULL, p);

	p->scale = whole ? 0 : p->scale;
	return rc;
}

static int extract(struct mr_fn_call *c, const void *const *a, struct part *p)
{
	enum mr_type type = (enum mr_type)c->e->fn->args[1];
	const char *name = mr_type_info(type)->name;
	enum mr_field f;
	int rc = unit_of(c, a[0], name, &f);

	*p = (struct part){0};
	if (rc < 0)
		return rc;
	if (type == MR_TYPE_INTERVAL)
		rc = mr_interval_extract(f, ARG(struct mr_interval, 1), &p->millionths, &p->scale);
	else if (type == MR_TYPE_DATE)
		rc = extract_date(c, f, ARG(int32_t, 1), p);
	else
		rc = extract_ts(
			f, ARG(int64_t, 1), type == MR_TYPE_TIMESTAMPTZ ? tz_of(c) : NULL, p);
	if (rc == -EINVAL)
		return mr_fn_error(c, "0A000", "unit \"%.*s\" not supported for type %s",
			(int)fn_span(a[0]).bytes, (const char *)fn_span(a[0]).data, name);
	return rc < 0 ? mr_fn_out_of_range(c, MR_TYPE_TIMESTAMP) : rc;
}

static int extract_n(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_dec day = mr_dec_from_i64(MR_US_PER_DAY), fraction;
	struct part p;
	int rc = extract(c, a, &p);

	if (rc != 0)
		return rc;
	if (p.infinite)
		return mr_fn_error(c, "0A000", "numeric infinity is not supported");
	if (!p.julian)
		return fn_dec_result(c, mr_dec_round(mr_dec_make(p.millionths, 6), p.scale, out));
	RESULT(struct mr_dec) = mr_dec_from_i64(p.days);
	if (c->e->fn->args[1] == MR_TYPE_DATE)
		return 0;
	rc = mr_dec_div(mr_dec_from_i64(p.us), day, &fraction);
	return fn_dec_result(c, rc < 0 ? rc : mr_dec_add(mr_dec_from_i64(p.days), fraction, out));
}

static int extract_f8(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct part p;
	int rc = extract(c, a, &p);

	if (rc == 0)
		RESULT(double) = p.infinite ? p.infinite * (double)INFINITY
				 : p.julian ? (double)p.days + (double)p.us / (double)MR_US_PER_DAY
					    : (double)p.millionths / 1e6;
	return rc;
}

// ---- Time zones ----

static int zone_of_tz(struct mr_fn_call *c, const void *const *a, void *out)
{
	const struct mr_tz *tz;
	int64_t t = ARG(int64_t, 1);

	if (named_tz(c, a[0], &tz) < 0)
		return -EINVAL;
	RESULT(int64_t) =
		mr_ts_is_finite(t) ? t + (int64_t)mr_tz_offset(tz, t, NULL) * MR_US_PER_S : t;
	return 0;
}

static int zone_of_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	const struct mr_tz *tz;
	int64_t t = ARG(int64_t, 1);

	if (named_tz(c, a[0], &tz) < 0)
		return -EINVAL;
	RESULT(int64_t) = mr_ts_is_finite(t) ? mr_tz_to_utc(tz, t) : t;
	return 0;
}

// ---- Casts to timestamp(n) and interval(n) ----

// Half goes away from `zero`, which is 2000 for timestamps.
static int64_t round_us(int64_t us, int64_t zero, int32_t digits)
{
	static const int64_t units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
	int64_t unit = units[MR_MAX(MR_MIN(digits, 6), 0)], v = us - zero;

	return zero + (v < 0 ? -((-v + unit / 2) / unit * unit) : (v + unit / 2) / unit * unit);
}

static int round_ts(struct mr_fn_call *c, const void *const *a, void *out)
{
	int64_t t = ARG(int64_t, 0);

	RESULT(int64_t) = t;
	if (t < MR_TS_MIN || t > MR_TS_MAX)
		return 0;
	RESULT(int64_t) = round_us(t, MR_PG_EPOCH_US, ARG(int32_t, 1));
	return checked(c, RESULT(int64_t) > MR_TS_MAX ? -ERANGE : 0);
}

static int round_iv(struct mr_fn_call *c, const void *const *a, void *out)
{
	struct mr_interval v = ARG(struct mr_interval, 0);

	if (v.us > INT64_MAX - MR_US_PER_S || v.us < -(INT64_MAX - MR_US_PER_S))
		return mr_fn_out_of_range(c, MR_TYPE_INTERVAL);
	v.us = round_us(v.us, 0, ARG(int32_t, 1));
	RESULT(struct mr_interval) = v;
	return 0;
}

// ---- Ages and conversions ----

static int age2(struct mr_fn_call *c, const void *const *a, void *out)
{
	return checked(c, mr_ts_age(ARG(int64_t, 0), ARG(int64_t, 1), out));
}

static int age1(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t today;

	current_date(c, a, &today);
	return checked(c, mr_ts_age(today * MR_US_PER_DAY, ARG(int64_t, 0), out));
}

static int from_epoch(struct mr_fn_call *c, const void *const *a, void *out)
{
	double us = rint(ARG(double, 0) * 1e6);

	if (isnan(us))
		return mr_fn_error(c, "22008", "timestamp cannot be NaN");
	if (isinf(us)) {
		RESULT(int64_t) = us > 0 ? MR_TS_INFINITY : MR_TS_MINUS_INFINITY;
		return 0;
	}
	if (us < (double)MR_TS_MIN || us > (double)MR_TS_MAX)
		return mr_fn_error(c, "22008", "timestamp out of range: \"%g\"", ARG(double, 0));
	RESULT(int64_t) = (int64_t)us;
	return 0;
}

static int make_date(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t y = ARG(int32_t, 0), m = ARG(int32_t, 1), d = ARG(int32_t, 2);

	if (y == 0 || m < 1 || m > 12 || d < 1 || d > mr_days_of_month(y < 0 ? y + 1 : y, m))
		return mr_fn_error(
			c, "22008", "date field value out of range: %d-%02d-%02d", y, m, d);
	return days_add(c, mr_days_from_civil(y < 0 ? y + 1 : y, m, d), 0, out);
}

static int make_timestamp(struct mr_fn_call *c, const void *const *a, void *out)
{
	int32_t y = ARG(int32_t, 0), hour = ARG(int32_t, 3), minute = ARG(int32_t, 4);
	double sec = ARG(double, 5), us = rint(sec * 1e6);
	int64_t midnight;
	int32_t day;
	int rc = make_date(c, a, &day);

	if (rc < 0)
		return rc;
	if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || !(sec >= 0 && sec <= 60) ||
		(hour == 24 && (minute || us > 0)))
		return mr_fn_error(c, "22008", "time field value out of range: %d:%02d:%02g", hour,
			minute, sec);
	midnight = day * MR_US_PER_DAY + hour * MR_US_PER_H + minute * MR_US_PER_MIN + (int64_t)us;
	if (y > 294276 || midnight < MR_TS_MIN || midnight > MR_TS_MAX)
		return mr_fn_out_of_range(c, MR_TYPE_TIMESTAMP);
	RESULT(int64_t) = midnight;
	return 0;
}

// ---- Justified intervals: hours into days, days into months of 30 ----

static int justify(struct mr_fn_call *c, struct mr_interval v, bool hours, bool days, void *out)
{
	int64_t day = v.days, month = v.months;

	if (hours) {
		day += v.us / MR_US_PER_DAY;
		v.us %= MR_US_PER_DAY;
	}
	if (days) {
		month += day / 30;
		day %= 30;
		if (month > 0 && (day < 0 || (hours && day == 0 && v.us < 0))) {
			day += 30;
			month--;
		} else if (month < 0 && (day > 0 || (hours && day == 0 && v.us > 0))) {
			day -= 30;
			month++;
		}
	}
	if (hours && day > 0 && v.us < 0) {
		v.us += MR_US_PER_DAY;
		day--;
	} else if (hours && day < 0 && v.us > 0) {
		v.us -= MR_US_PER_DAY;
		day++;
	}
	if (day != (int32_t)day || month != (int32_t)month)
		return mr_fn_out_of_range(c, MR_TYPE_INTERVAL);
	RESULT(struct mr_interval) =
		(struct mr_interval){.us = v.us, .days = (int32_t)day, .months = (int32_t)month};
	return 0;
}

static int justify_hours(struct mr_fn_call *c, const void *const *a, void *out)
{
	return justify(c, ARG(struct mr_interval, 0), true, false, out);
}

static int justify_days(struct mr_fn_call *c, const void *const *a, void *out)
{
	return justify(c, ARG(struct mr_interval, 0), false, true, out);
}

static int justify_interval(struct mr_fn_call *c, const void *const *a, void *out)
{
	return justify(c, ARG(struct mr_interval, 0), true, true, out);
}

static int isfinite_ts(struct mr_fn_call *, const void *const *a, void *out)
{
	RESULT(uint8_t) = mr_ts_is_finite(ARG(int64_t, 0));
	return 0;
}

#define ST MR_FN_STABLE
#define F2(name, r, x, y, f)                   \
	{                                      \
		name, r, 2, {x, y}, 0, f, NULL \
	}
#define S2(name, r, x, y, f)                    \
	{                                       \
		name, r, 2, {x, y}, ST, f, NULL \
	}
#define CLOCK(name, t, f)                    \
	{                                    \
		name, t, 0, {0}, ST, f, NULL \
	}
#define EXTRACT(name, r, f)                                                             \
	F2(name, r, T_T, T_D, f), F2(name, r, T_T, T_TS, f), S2(name, r, T_T, T_TZ, f), \
		F2(name, r, T_T, T_IV, f)

static const struct mr_fn fns[] = {
	F2("+", T_TS, T_TS, T_IV, ts_add),
	S2("+", T_TZ, T_TZ, T_IV, tz_add),
	F2("+", T_TS, T_IV, T_TS, iv_ts),
	S2("+", T_TZ, T_IV, T_TZ, iv_tz),
	F2("+", T_TS, T_D, T_IV, d_plus_iv),
	F2("-", T_TS, T_D, T_IV, d_minus_iv),
	F2("-", T_TS, T_TS, T_IV, ts_minus),
	S2("-", T_TZ, T_TZ, T_IV, tz_minus),
	F2("-", T_IV, T_TS, T_TS, ts_sub),
	F2("-", T_IV, T_TZ, T_TZ, ts_sub),
	F2("+", T_D, T_D, T_I4, d_plus_i),
	F2("+", T_D, T_I4, T_D, i_plus_d),
	F2("-", T_D, T_D, T_I4, d_minus_i),
	F2("-", T_I4, T_D, T_D, d_minus_d),
	F2("+", T_IV, T_IV, T_IV, iv_add),
	F2("-", T_IV, T_IV, T_IV, iv_sub),
	{"-", T_IV, 1, {T_IV}, 0, iv_neg, NULL},
	F2("*", T_IV, T_IV, T_F8, iv_mul),
	F2("*", T_IV, T_F8, T_IV, mul_iv),
	F2("/", T_IV, T_IV, T_F8, iv_div),
	CLOCK("now", T_TZ, now),
	CLOCK("current_timestamp", T_TZ, now),
	CLOCK("transaction_timestamp", T_TZ, now),
	CLOCK("statement_timestamp", T_TZ, now),
	CLOCK("localtimestamp", T_TS, local_now),
	CLOCK("current_date", T_D, current_date),
	{"clock_timestamp", T_TZ, 0, {0}, MR_FN_VOLATILE, clock_now, NULL},
	F2("date_trunc", T_TS, T_T, T_TS, trunc_ts),
	S2("date_trunc", T_TZ, T_T, T_TZ, trunc_tz),
	{"date_trunc", T_TZ, 3, {T_T, T_TZ, T_T}, 0, trunc_tz, NULL},
	{"date_bin", T_TS, 3, {T_IV, T_TS, T_TS}, 0, date_bin, NULL},
	{"date_bin", T_TZ, 3, {T_IV, T_TZ, T_TZ}, 0, date_bin, NULL},
	EXTRACT("extract", T_N, extract_n),
	EXTRACT("date_part", T_F8, extract_f8),
	F2("timezone", T_TS, T_T, T_TZ, zone_of_tz),
	F2("timezone", T_TZ, T_T, T_TS, zone_of_ts),
	F2("timestamp", T_TS, T_TS, T_I4, round_ts),
	F2("timestamptz", T_TZ, T_TZ, T_I4, round_ts),
	F2("interval", T_IV, T_IV, T_I4, round_iv),
	F2("age", T_IV, T_TS, T_TS, age2),
	F2("age", T_IV, T_TZ, T_TZ, age2),
	{"age", T_IV, 1, {T_TS}, ST, age1, NULL},
	{"to_timestamp", T_TZ, 1, {T_F8}, 0, from_epoch, NULL},
	{"make_date", T_D, 3, {T_I4, T_I4, T_I4}, 0, make_date, NULL},
	{"make_timestamp", T_TS, 6, {T_I4, T_I4, T_I4, T_I4, T_I4, T_F8}, 0, make_timestamp, NULL},
	{"justify_hours", T_IV, 1, {T_IV}, 0, justify_hours, NULL},
	{"justify_days", T_IV, 1, {T_IV}, 0, justify_days, NULL},
	{"justify_interval", T_IV, 1, {T_IV}, 0, justify_interval, NULL},
	{"isfinite", T_B, 1, {T_TS}, 0, isfinite_ts, NULL},
	{"isfinite", T_B, 1, {T_TZ}, 0, isfinite_ts, NULL},
};

const struct mr_fn_family mr_fn_time = {fns, MR_COUNT_OF(fns)};
