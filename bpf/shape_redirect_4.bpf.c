// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A bloom filter of three hashes and a devmap of indices, as its sister has others. */
#define HASHES 3
#define PORT __u32
#include "shape_redirect.h"
