/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time. Deadlines are monotonic milliseconds; wall-clock time is shown, and compared between hosts. */
#ifndef UTIL_CLOCK_H
#define UTIL_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);      /* monotonic */
int64_t clock_boot_ms(void); /* the same, and goes on while the host is suspended */
int64_t clock_wall_ms(void); /* since the epoch */
void clock_sleep_ms(int64_t ms);

#endif
