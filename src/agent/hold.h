/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that a process holds against every other one; released by its end, however it ends. */
#ifndef AGENT_HOLD_H
#define AGENT_HOLD_H

#include <stdbool.h>

/* Holds the open file FD until it is closed; false: another process does. */
bool hold_file(int fd);
/* Whether somebody (this process counts) holds it, by another descriptor than FD. */
bool hold_is_taken(int fd);
/* Whether the open file is still the one that PATH names. */
bool hold_is_named(int fd, const char *path);

#endif
