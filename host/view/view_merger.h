// Merging runs in the background, so that a view is in few files and each group in few of them.
//
// Runs of about the same size are merged when there are eight of them: a group is written again
// once for every eightfold growth of the view. The merged run takes their place by one append to
// the manifest; their files go with the last reader.
#pragma once

#include "host/view/view_merge.h"

struct mr_control;
struct mr_view_merger;

[[nodiscard]] int mr_view_merger_create(struct mr_control *c, struct mr_view_merger **out);
// Starts the thread.
[[nodiscard]] int mr_view_merger_start(struct mr_view_merger *m);
// Gives up what it is at, and ends the thread. NULL does nothing.
void mr_view_merger_stop(struct mr_view_merger *m);
void mr_view_merger_destroy(struct mr_view_merger *m);
// There are new runs. Any thread.
void mr_view_merger_poke(struct mr_view_merger *m);

// One merging of the view, where enough of its runs are alike. 1: done; 0: there is nothing to do;
// negative with diag. One thread at a time for a view.
[[nodiscard]] int mr_view_merge_runs(
	struct mr_view_tools *t, struct mr_view *v, struct mr_diag *diag);
