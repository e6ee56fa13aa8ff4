// millrace bench: not there yet.
#include "client/client.h"

int mr_client_bench(int, char **argv)
{
	return mr_client_complain(argv[0], MR_CLIENT_FAILED, "not built yet");
}
