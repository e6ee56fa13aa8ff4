// Reading options and complaining.
#include "client/client.h"

#include "host/base/zip.h"
#include "hw/cpu.h"
#include "kernels/kernels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int mr_client_complain(const char *command, int code, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "millrace %s: ", command);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

const char *mr_client_option(int argc, char **argv, int *at, const char *name)
{
	const char *arg = argv[*at];
	size_t n = strlen(name);

	if (strncmp(arg, name, n) != 0 || (arg[n] && arg[n] != '='))
		return NULL;
	(*at)++;
	if (arg[n] == '=')
		return arg + n + 1;
	return *at < argc ? argv[(*at)++] : "";
}

bool mr_client_size(const char *text, uint64_t *out)
{
	static const struct {
		const char *name;
		int shift;
	} units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
	char *end;
	unsigned long long n;

	if (text[0] < '0' || text[0] > '9')
		return false;
	n = strtoull(text, &end, 10);
	for (size_t i = 0; i < MR_COUNT_OF(units); i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		*out = n << units[i].shift;
		return *out >> units[i].shift == n;
	}
	return false;
}

bool mr_client_acks(const char *text, int16_t *out)
{
	static const struct {
		const char *name;
		int16_t acks;
	} all[] = {{"0", 0}, {"1", 1}, {"all", -1}, {"-1", -1}};

	for (size_t i = 0; i < MR_COUNT_OF(all); i++)
		if (strcmp(text, all[i].name) == 0) {
			*out = all[i].acks;
			return true;
		}
	return false;
}

int mr_client_codec(const char *text)
{
	const char *name;

	for (int i = 0; (name = mr_codec_name(i)); i++)
		if (strcmp(text, name) == 0)
			return i;
	return -1;
}

void mr_client_use_cpu(void)
{
	struct mr_cpu cpu;

	mr_cpu_detect(&cpu);
	// With a wrong MILLRACE_ISA the scalar kernels stay chosen and give the same bytes.
	(void)!mr_kernels_select(&cpu, NULL);
}
