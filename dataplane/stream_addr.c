// Addresses of the network: text in, text out.
#include "dataplane/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t v4_in_v6[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// fe80::1%eth0 or %2: the part behind the percent sign.
static int parse_scope(const char *text, uint32_t *scope)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*scope = *text && !*end && n <= UINT32_MAX ? (uint32_t)n : if_nametoindex(text);
	return *scope ? 0 : -EINVAL;
}

static int parse_v6(const char *host, struct mr_net_addr *out)
{
	char text[96];
	char *percent;
	size_t n = strlen(host);

	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, host, n);
	text[n] = 0;
	percent = strchr(text, '%');
	if (percent) {
		*percent = 0;
		if (parse_scope(percent + 1, &out->scope) < 0)
			return -EINVAL;
	}
	out->is_v6 = true;
	return inet_pton(AF_INET6, text, out->ip) == 1 ? 0 : -EINVAL;
}

int mr_net_addr_parse(const char *host, uint16_t port, struct mr_net_addr *out)
{
	*out = (struct mr_net_addr){.port = port};
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, out->ip) == 1)
		return 0;
	return parse_v6(host, out);
}

static bool is_mapped(const struct mr_net_addr *a)
{
	return a->is_v6 && memcmp(a->ip, v4_in_v6, sizeof(v4_in_v6)) == 0;
}

void mr_net_addr_host(const struct mr_net_addr *a, char host[64])
{
	bool v6 = a->is_v6 && !is_mapped(a);
	size_t n;

	MR_ASSERT(inet_ntop(v6 ? AF_INET6 : AF_INET, is_mapped(a) ? a->ip + 12 : a->ip, host, 48));
	if (v6 && a->scope) {
		n = strlen(host);
		snprintf(host + n, 64 - n, "%%%u", a->scope);
	}
}

void mr_net_addr_format(const struct mr_net_addr *a, char text[72])
{
	char host[64];

	mr_net_addr_host(a, host);
	snprintf(text, 72, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, a->port);
}

bool mr_net_addr_is_loopback(const struct mr_net_addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	if (a->is_v6 && !is_mapped(a))
		return memcmp(a->ip, one, sizeof(one)) == 0;
	return a->ip[a->is_v6 ? 12 : 0] == 127;
}
