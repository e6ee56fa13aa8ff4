// millrace doctor: the command, and what all checks share.
#include "client/doctor.h"

#include "client/client.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const marks[] = {
	[MR_DOCTOR_OK] = "ok", [MR_DOCTOR_ADVICE] = "advice", [MR_DOCTOR_LACKS] = "LACKS"};

void mr_doctor_say(struct mr_doctor *d, enum mr_doctor_level level, const char *name,
	const char *what_to_type, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	d->found[level]++;
	mr_buf_printf(&d->report, "%-7s %-14s %s\n", marks[level], name, text);
	if (what_to_type)
		mr_buf_printf(&d->report, "%-7s %-14s   %s\n", "", "", what_to_type);
}

const char *mr_doctor_path(const struct mr_doctor *d, char out[512], const char *path)
{
	snprintf(out, 512, "%s%s", d->root, path);
	return out;
}

bool mr_doctor_read(const struct mr_doctor *d, char *out, size_t bytes, const char *fmt, ...)
{
	char path[400], full[512];
	va_list args;
	FILE *f;
	bool got;

	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	f = fopen(mr_doctor_path(d, full, path), "re");
	if (!f)
		return false;
	got = fgets(out, (int)bytes, f) != NULL;
	fclose(f);
	if (got)
		out[strcspn(out, "\n")] = 0;
	return got;
}

long long mr_doctor_number(const struct mr_doctor *d, long long other, const char *path)
{
	char text[64];
	long long n;

	return mr_doctor_read(d, text, sizeof(text), "%s", path) && sscanf(text, "%lld", &n) == 1
		       ? n
		       : other;
}

void mr_doctor_list(struct mr_doctor *d, const char *path,
	void (*each)(struct mr_doctor *d, const char *entry, void *arg), void *arg)
{
	char full[512];
	DIR *dir = opendir(mr_doctor_path(d, full, path));
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			each(d, e->d_name, arg);
	if (dir)
		closedir(dir);
}

static void run_all(struct mr_doctor *d, const struct mr_doctor_check *checks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (d->dpdk || !checks[i].dpdk_only)
			checks[i].run(d, checks[i].name);
}

void mr_doctor_run(struct mr_doctor *d)
{
	run_all(d, mr_doctor_host, mr_doctor_host_count);
	run_all(d, mr_doctor_net, mr_doctor_net_count);
}

static const struct mr_option options[] = {
	{"--data", MR_OPTION_TEXT, offsetof(struct mr_doctor, data), 0},
	{"--workers", MR_OPTION_NUMBER, offsetof(struct mr_doctor, workers), 1024},
	{"--dpdk", MR_OPTION_FLAG, offsetof(struct mr_doctor, dpdk), 0},
};

static int help(void)
{
	puts("usage: millrace doctor [--dpdk] [--workers N] [--data DIR]\n\n"
	     "Says what this host lacks for millrace, and what to type about it. Changes "
	     "nothing.\n\n"
	     "  --dpdk       what --dataplane dpdk needs too\n"
	     "  --workers N  for how many workers, 1\n"
	     "  --data DIR   looks at the disk of this data directory\n\n"
	     "Exit 0: nothing is lacking (there may be advice); 1: something is.");
	return 0;
}

int mr_client_doctor(int argc, char **argv)
{
	struct mr_doctor d = {.root = "", .workers = 1};
	int rc;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0)
			return help();
	rc = mr_client_options("doctor", argc, argv, options, MR_COUNT_OF(options), &d, NULL);
	if (rc != 0)
		return rc;
	mr_doctor_run(&d);
	fwrite(d.report.data, 1, d.report.bytes, stdout);
	printf("%u lacking, %u to consider, %u well\n", d.found[MR_DOCTOR_LACKS],
		d.found[MR_DOCTOR_ADVICE], d.found[MR_DOCTOR_OK]);
	mr_buf_fini(&d.report);
	return d.found[MR_DOCTOR_LACKS] ? MR_CLIENT_FAILED : 0;
}
