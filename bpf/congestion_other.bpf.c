// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The next version of `congestion`: the same names, another answer, another counter. */
#define ANSWER 4
#define COUNTER 1
#include "congestion.h"
