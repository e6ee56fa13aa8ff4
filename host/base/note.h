// Lines for the operator, on stderr. One event a line: `TIME LEVEL subsystem: key=value …`.
//
// Never called on the packet path: workers count there, and the control thread writes. A line that
// repeats is held back after `MR_NOTE_BURST` in a second, and the next one says how many were. When
// nobody reads stderr and its pipe is full, lines are lost instead of waiting, and counted
// likewise.
#pragma once

#include "host/base/def.h"

#define MR_NOTE_BURST 10

enum mr_note_level { MR_NOTE_ERR, MR_NOTE_WARN, MR_NOTE_NOTICE, MR_NOTE_INFO, MR_NOTE_DEBUG };

// Lines less important than `level` are dropped. Default MR_NOTE_NOTICE. Any thread.
void mr_note_level_set(enum mr_note_level level);

// Writes one line. Any thread; the line is written by one write(2), so lines do not mix.
void mr_note(enum mr_note_level level, const char *subsystem, const char *fmt, ...) MR_PRINTF(3, 4);
