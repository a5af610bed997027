// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Congestion controls for TCP: structs of operations whose functions are programs. */
#define ANSWER 2
#define COUNTER 0
#include "congestion.h"
