// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A map of maps of 64 bits, as its sister has one of another width. */
#define VALUE __u64
#include "shape_inner.h"
