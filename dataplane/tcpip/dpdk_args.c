// The arguments of --eal, without DPDK: configuration is checked before anything is loaded.
#include "dataplane/tcpip/port_dpdk.h"

#include <errno.h>
#include <string.h>

static int begin_arg(struct mr_dpdk_args *a)
{
	if (a->count == MR_DPDK_ARGS_MAX)
		return -E2BIG;
	a->v[a->count++] = a->text + a->text_bytes;
	a->v[a->count] = NULL;
	return 0;
}

static int put(struct mr_dpdk_args *a, char c)
{
	if (a->text_bytes == sizeof(a->text))
		return -E2BIG;
	a->text[a->text_bytes++] = c;
	return 0;
}

int mr_dpdk_args_add(struct mr_dpdk_args *a, const char *arg)
{
	int rc = begin_arg(a);

	for (const char *c = arg; rc == 0 && *c; c++)
		rc = put(a, *c);
	return rc < 0 ? rc : put(a, 0);
}

// One word from *at, quotes taken off. 0 or -errno.
static int split_word(struct mr_dpdk_args *a, const char **at)
{
	const char *c = *at;
	char quote = 0;
	int rc = begin_arg(a);

	for (; rc == 0 && *c && (quote || !strchr(" \t\n", *c)); c++) {
		if (quote && *c == quote) {
			quote = 0;
		} else if (!quote && (*c == '\'' || *c == '"')) {
			quote = *c;
		} else {
			if (*c == '\\' && quote != '\'' && c[1])
				c++;
			rc = put(a, *c);
		}
	}
	*at = c;
	if (rc == 0)
		rc = quote ? -EINVAL : put(a, 0);
	return rc;
}

int mr_dpdk_args_split(struct mr_dpdk_args *a, const char *text, struct mr_diag *diag)
{
	int rc = 0;

	*a = (struct mr_dpdk_args){0};
	for (;;) {
		text += strspn(text, " \t\n");
		if (!*text)
			return 0;
		rc = split_word(a, &text);
		if (rc == -EINVAL)
			return mr_diag_set(
				diag, rc, "22023", 0, "--eal has a quote that is not closed");
		if (rc < 0)
			return mr_diag_set(diag, -EINVAL, "22023", 0,
				"--eal takes at most %d arguments of %d bytes in all",
				MR_DPDK_ARGS_MAX, MR_DPDK_ARGS_BYTES);
	}
}

bool mr_dpdk_args_has(const struct mr_dpdk_args *a, const char *option)
{
	size_t n = strlen(option);

	for (int i = 0; i < a->count; i++)
		if (strncmp(a->v[i], option, n) == 0 && (a->v[i][n] == 0 || a->v[i][n] == '='))
			return true;
	return false;
}
