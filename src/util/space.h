/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room on a file system. */
#ifndef UTIL_SPACE_H
#define UTIL_SPACE_H

#include <sys/types.h>

#include "util/err.h"

/*
 * Whether a file of SIZE bytes could be made in DIR, or, where that is yet to be made, in its PARENT. Nothing
 * is left of it; on a file system that cannot do that only the permission is looked at.
 */
int space_try(const char *dir, const char *parent, off_t size, struct err *e);

#endif
