// Results of a benchmark: an aligned table for people, or a JSON array of objects.
#pragma once

#include "host/base/buf.h"

#include <stdio.h>

struct mr_report {
	struct mr_buf cells; // of struct report_cell
	struct mr_buf ends;  // uint32_t: cells up to the end of each row
	bool json;
};

void mr_report_init(struct mr_report *r, bool json);
void mr_report_fini(struct mr_report *r);

// Cells of the row being made. Every row has the same columns in the same order.
void mr_report_text(struct mr_report *r, const char *column, const char *text);
void mr_report_number(struct mr_report *r, const char *column, double v, int decimals);
void mr_report_end_row(struct mr_report *r);

// False when memory ran out on the way: then nothing is printed.
bool mr_report_print(const struct mr_report *r, FILE *f);
