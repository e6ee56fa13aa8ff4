// The environment of the tests of wire and HTTP: no relations at all.
#pragma once

#include "host/sql/env.h"

extern struct mr_env mr_fake_env;
