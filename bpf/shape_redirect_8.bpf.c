// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A bloom filter of five hashes and a devmap with programs, as its sister has others. */
#define HASHES 5
#define PORT struct bpf_devmap_val
#include "shape_redirect.h"
