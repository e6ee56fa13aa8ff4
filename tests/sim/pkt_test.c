// Every packet script of tests/net, over IPv4 and IPv6. PKT=name picks scripts by substring.
#include "tests/lib/mr_test.h"
#include "tests/lib/pktscript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	const struct pktscript *script;
	bool v6;
	char name[128];
};

static void script_holds(void **state)
{
	const struct job *job = *state;
	const char *wrong = pktscript_run(job->script, job->v6);

	if (wrong)
		fail_msg("%s", wrong);
}

// The engine notices: a script that must not hold.
static void engine_notices_what_is_wrong(void **)
{
	static const char *const texts[] = {
		"establish\n> . 1:1(0) ack 1\n",
		"< S 0:0(0) win 65535 <mss 1460>\n> S. 0:0(0) ack 2\n",
		"< S 0:0(0) win 65535 <mss 1460>\n",
		"< S 0:0(0) win 65535 <mss 1460>\nquiet 0.1\n",
		"establish\nexpect received = 1\n",
		"establish\nexpect state FIN_WAIT_1\n",
		"no such line\n",
	};

	for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
		struct pktscript s = {.file = "canary", .name = "canary", .text = (char *)texts[i]};

		assert_non_null(pktscript_run(&s, false));
	}
}

int main(void)
{
	struct pktscript *scripts;
	int count = pktscript_load("tests/net", &scripts), n = 0;
	struct job *jobs = calloc((size_t)count * 2 + 1, sizeof(*jobs));
	struct CMUnitTest *tests = calloc((size_t)count * 2 + 1, sizeof(*tests));
	const char *only = getenv("PKT");

	tests[n++] = (struct CMUnitTest)cmocka_unit_test(engine_notices_what_is_wrong);
	for (int i = 0; i < count * 2; i++) {
		const struct pktscript *s = &scripts[i / 2];
		struct job *job = &jobs[n];

		if ((i & 1 ? s->only4 : s->only6) || (only && !strstr(s->name, only)))
			continue;
		*job = (struct job){.script = s, .v6 = i & 1};
		snprintf(job->name, sizeof(job->name), "%s over IPv%d", s->name, i & 1 ? 6 : 4);
		tests[n++] = (struct CMUnitTest){job->name, script_holds, NULL, NULL, job};
	}
	printf("%d scripts\n", count);
	return _cmocka_run_group_tests("pkt", tests, (size_t)n, NULL, NULL);
}
