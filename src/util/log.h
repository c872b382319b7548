/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages for people, on stderr in the driver, as protocol events in an agent. Thread-safe.
 * Level and sink belong to the process; the level may change while other threads log.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

enum log_level { LOG_LEVEL_QUIET, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

typedef void log_sink(enum log_level level, const char *text);

void log_init(enum log_level level, log_sink *sink); /* NULL: stderr */
void log_set_level(enum log_level level);

void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One line per external effect (a change by libvirt or netlink, a process started). */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
