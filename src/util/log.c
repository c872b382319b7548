/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/log.h"

#include <stdarg.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/mem.h"
#include "util/say.h"
#include "util/str.h"

static enum log_level log_level = LOG_LEVEL_INFO;
static log_sink *log_out;

void log_init(enum log_level level, log_sink *sink)
{
	log_level = level;
	log_out = sink;
}

void log_set_level(enum log_level level)
{
	log_level = level;
}

static void print(enum log_level level, const char *text)
{
	int64_t ms = clock_wall_ms();

	if (level == LOG_LEVEL_DEBUG)
		say(STDERR_FILENO, "[%d.%03d] %s\n", (int)(ms / 1000 % 1000), (int)(ms % 1000),
			text);
	else
		say(STDERR_FILENO, "%s\n", text);
}

__attribute__((format(printf, 2, 0))) static void emit(enum log_level level, const char *fmt,
	va_list ap)
{
	CLEANUP_FREE char *text = NULL;

	if (level > log_level)
		return;
	text = str_vprintf(fmt, ap);
	if (log_out)
		log_out(level, text);
	else
		print(level, text);
}

#define DEFINE_LOG(name, level) \
	void name(const char *fmt, ...) \
	{ \
		va_list ap; \
\
		va_start(ap, fmt); \
		emit(level, fmt, ap); \
		va_end(ap); \
	}

DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
