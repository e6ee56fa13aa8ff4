// A link over memory: its input is a script, cut where the test says; its output is kept.
#pragma once

#include "host/link.h"

struct mr_mem_link {
	struct mr_link link;
	struct mr_span input;
	size_t at;
	size_t cut;            // one read never crosses this offset; 0: none
	size_t read_max;       // bytes one read gives at most; 0: any number
	_Atomic bool is_woken; // the next read says -EINTR
	_Atomic bool is_cut;
	int end;          // what reads say after the input: 0 = the peer has ended
	size_t write_max; // writes fail with -EPIPE after so many bytes; 0: never
	struct mr_buf output;
};

void mr_mem_link_init(struct mr_mem_link *m, struct mr_span input);
void mr_mem_link_fini(struct mr_mem_link *m);
