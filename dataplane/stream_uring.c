// Kernel sockets through io_uring.
#include "dataplane/stream_int.h"

#include <errno.h>

int mr_net_uring_create(const struct mr_net_options *, struct mr_net **)
{
	return -ENOSYS;
}
