// Tables and JSON.
#include "client/report.h"

#include <string.h>

enum { COLUMNS_MAX = 32 };

struct report_cell {
	char column[32];
	char text[96];
	bool number;
};

void mr_report_init(struct mr_report *r, bool json)
{
	*r = (struct mr_report){.json = json};
}

void mr_report_fini(struct mr_report *r)
{
	mr_buf_fini(&r->cells);
	mr_buf_fini(&r->ends);
}

static void add(struct mr_report *r, const char *column, const char *text, bool number)
{
	struct report_cell c = {.number = number};

	snprintf(c.column, sizeof(c.column), "%s", column);
	snprintf(c.text, sizeof(c.text), "%s", text);
	mr_buf_add(&r->cells, &c, sizeof(c));
}

void mr_report_text(struct mr_report *r, const char *column, const char *text)
{
	add(r, column, text, false);
}

void mr_report_number(struct mr_report *r, const char *column, double v, int decimals)
{
	char text[48];

	snprintf(text, sizeof(text), "%.*f", decimals, v);
	add(r, column, text, true);
}

void mr_report_end_row(struct mr_report *r)
{
	mr_buf_le32(&r->ends, (uint32_t)(r->cells.bytes / sizeof(struct report_cell)));
}

static size_t rows_of(const struct mr_report *r)
{
	return r->ends.bytes / 4;
}

// The cells of a row.
static size_t row_of(const struct mr_report *r, size_t row, const struct report_cell **cells)
{
	uint32_t from = row ? mr_load_le32(r->ends.data + 4 * (row - 1)) : 0;

	*cells = (const struct report_cell *)(const void *)r->cells.data + from;
	return mr_load_le32(r->ends.data + 4 * row) - from;
}

static void print_json_text(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc((unsigned char)*s < 0x20 ? ' ' : *s, f);
	}
	fputc('"', f);
}

static void print_json(const struct mr_report *r, FILE *f)
{
	const struct report_cell *c;

	fputs("[", f);
	for (size_t i = 0; i < rows_of(r); i++) {
		size_t n = row_of(r, i, &c);

		fputs(i ? ",\n {" : "\n {", f);
		for (size_t k = 0; k < n; k++) {
			fputs(k ? ", " : "", f);
			print_json_text(f, c[k].column);
			fputs(": ", f);
			if (c[k].number)
				fputs(c[k].text, f);
			else
				print_json_text(f, c[k].text);
		}
		fputs("}", f);
	}
	fputs("\n]\n", f);
}

static void print_table(const struct mr_report *r, FILE *f)
{
	int widths[COLUMNS_MAX] = {0};
	const struct report_cell *c;

	for (size_t i = 0; i < rows_of(r); i++) {
		size_t n = row_of(r, i, &c);

		MR_ASSERT(n <= COLUMNS_MAX);
		for (size_t k = 0; k < n; k++) {
			widths[k] = MR_MAX(widths[k], (int)strlen(c[k].text));
			widths[k] = MR_MAX(widths[k], (int)strlen(c[k].column));
		}
	}
	for (size_t i = 0; i < rows_of(r); i++) {
		size_t n = row_of(r, i, &c);

		for (size_t k = 0; i == 0 && k < n; k++)
			fprintf(f, "%s%*s", k ? "  " : "", c[k].number ? widths[k] : -widths[k],
				c[k].column);
		fputs(i == 0 ? "\n" : "", f);
		for (size_t k = 0; k < n; k++)
			fprintf(f, "%s%*s", k ? "  " : "", c[k].number ? widths[k] : -widths[k],
				c[k].text);
		fputc('\n', f);
	}
}

bool mr_report_print(const struct mr_report *r, FILE *f)
{
	if (r->cells.failed || r->ends.failed)
		return false;
	if (r->json)
		print_json(r, f);
	else
		print_table(r, f);
	return fflush(f) == 0;
}
