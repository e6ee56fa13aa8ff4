// Scripts of segments: what a peer sends, what we must answer, and when.
//
// In the spirit of packetdrill (Cardwell et al. 2013), in a format of our own; tests/net/README.md
// is its description. A script runs the real stack over a memory wire on a virtual clock, once over
// IPv4 and once over IPv6.
#pragma once

#include "host/base/def.h"

struct pktscript {
	char file[128];
	char name[96];
	int line;   // of its heading
	char *text; // of its lines
	bool only4, only6;
};

// All scripts of tests/net/*.pkt in the order of their names; returns how many there are.
int pktscript_load(const char *folder, struct pktscript **out);
// Runs one; NULL when it holds, else what was wrong (static memory).
const char *pktscript_run(const struct pktscript *s, bool v6);
