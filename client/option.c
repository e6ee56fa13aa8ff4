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

static bool read_number(const char *text, uint64_t *out)
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

static bool read_acks(const char *text, int16_t *out)
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

static int read_codec(const char *text)
{
	const char *name;

	for (int i = 0; (name = mr_codec_name(i)); i++)
		if (strcmp(text, name) == 0)
			return i;
	return -1;
}

static int take_value(const char *command, const struct mr_option *o, const char *value, void *base)
{
	void *at = (char *)base + o->offset;
	uint64_t n;

	switch (o->kind) {
	case MR_OPTION_TEXT: *(const char **)at = value; return 0;
	case MR_OPTION_NUMBER:
		if (!read_number(value, &n) || n < 1 || n > o->max)
			break;
		*(uint64_t *)at = n;
		return 0;
	case MR_OPTION_CODEC:
		*(int *)at = read_codec(value);
		if (*(int *)at < 0)
			break;
		return 0;
	case MR_OPTION_ACKS:
		if (!read_acks(value, at))
			break;
		return 0;
	case MR_OPTION_FLAG: break;
	}
	return mr_client_complain(
		command, MR_CLIENT_USAGE, "\"%s\" is no value for %s", value, o->name);
}

// Takes argv[*at] if it is `o`: 0, 1 when it is not, or MR_CLIENT_USAGE.
static int take_option(
	const char *command, int argc, char **argv, int *at, const struct mr_option *o, void *base)
{
	const char *value;

	if (o->kind == MR_OPTION_FLAG) {
		if (strcmp(argv[*at], o->name) != 0)
			return 1;
		*(bool *)((char *)base + o->offset) = true;
		(*at)++;
		return 0;
	}
	value = mr_client_option(argc, argv, at, o->name);
	if (!value)
		return 1;
	if (!*value)
		return mr_client_complain(command, MR_CLIENT_USAGE, "%s needs a value", o->name);
	return take_value(command, o, value, base);
}

int mr_client_options(const char *command, int argc, char **argv, const struct mr_option *options,
	size_t options_count, void *base, const char **operand)
{
	for (int i = 1; i < argc;) {
		int code = 1;

		for (size_t k = 0; k < options_count && code == 1; k++)
			code = take_option(command, argc, argv, &i, &options[k], base);
		if (code == 1 && operand && !*operand && (argv[i][0] != '-' || !argv[i][1])) {
			*operand = argv[i++];
			code = 0;
		}
		if (code == 1)
			return mr_client_complain(
				command, MR_CLIENT_USAGE, "unknown option \"%s\"", argv[i]);
		if (code)
			return code;
	}
	return 0;
}

void mr_client_use_cpu(void)
{
	struct mr_cpu cpu;

	mr_cpu_detect(&cpu);
	// With a wrong MILLRACE_ISA the scalar kernels stay chosen and give the same bytes.
	(void)!mr_kernels_select(&cpu, NULL);
}
