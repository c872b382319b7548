/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/record.h"
#include "util/clock.h"
#include "util/mem.h"
#include "util/str.h"

enum { WRITE_LIMIT_MS = 10000, READ_SIZE = 65536, FILLING = 65536 };

static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void wire_out_init(struct wire_out *w, int fd)
{
	pthread_mutex_init(&w->lock, NULL);
	w->fd = fd;
	w->broken = false;
	set_nonblocking(fd);
}

static int write_all(int fd, const char *s, size_t len, struct err *e)
{
	int64_t deadline = clock_ms() + WRITE_LIMIT_MS;

	while (len) {
		ssize_t n = write(fd, s, len);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (n > 0) {
			s += n;
			len -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return err_set_kind(e, ERR_LOST, "the other end is gone: %s",
				strerror(errno));
		if (clock_ms() >= deadline)
			return err_set_kind(e, ERR_LOST, "the other end does not read");
		poll(&p, 1, 500);
	}
	return 0;
}

int wire_send(struct wire_out *w, json_t *msg, struct err *e)
{
	CLEANUP_FREE char *text = json_dumps(msg, JSON_COMPACT);
	CLEANUP_FREE char *line = NULL;
	int r;

	json_decref(msg);
	if (!text)
		abort();
	line = str_printf("%s\n", text);
	pthread_mutex_lock(&w->lock);
	if (w->broken)
		r = err_set_kind(e, ERR_LOST, "the other end is gone");
	else
		r = write_all(w->fd, line, strlen(line), e);
	w->broken = r < 0;
	pthread_mutex_unlock(&w->lock);
	return r;
}

bool wire_is_broken(struct wire_out *w)
{
	bool broken;

	pthread_mutex_lock(&w->lock);
	broken = w->broken;
	pthread_mutex_unlock(&w->lock);
	return broken;
}

bool wire_is_filling(const struct wire_out *w)
{
	int queued;

	return ioctl(w->fd, SIOCOUTQ, &queued) == 0 && queued > FILLING;
}

void wire_in_init(struct wire_in *w, int fd)
{
	*w = (struct wire_in){ .fd = fd };
	set_nonblocking(fd);
}

void wire_in_free(struct wire_in *w)
{
	free(w->buf);
	w->buf = NULL;
	w->len = w->scanned = 0;
}

int wire_fill(struct wire_in *w, struct err *e)
{
	ssize_t n;

	if (w->len > WIRE_LINE_MAX)
		return err_set_kind(e, ERR_LOST, "the other end sent a line of more than %d bytes",
			WIRE_LINE_MAX);
	w->buf = mem_grow(w->buf, w->len + READ_SIZE, 1);
	n = read(w->fd, w->buf + w->len, READ_SIZE);
	if (n > 0)
		w->len += (size_t)n;
	else if (n == 0)
		w->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		return err_set_kind(e, ERR_LOST, "read: %s", strerror(errno));
	return 0;
}

char *wire_line(struct wire_in *w)
{
	char *end, *line;
	size_t used;

	if (w->scanned == w->len)
		return NULL;
	end = memchr(w->buf + w->scanned, '\n', w->len - w->scanned);
	if (!end) {
		w->scanned = w->len;
		return NULL;
	}
	*end = '\0';
	line = str_dup(w->buf);
	used = (size_t)(end - w->buf) + 1;
	memmove(w->buf, end + 1, w->len - used);
	w->len -= used;
	w->scanned = 0;
	return line;
}

json_t *wire_parse(const char *line)
{
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

	if (json && !json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

json_t *wire_error(const struct err *e)
{
	json_t *error = json_object();

	json_object_set_new(error, "kind", json_string(err_kind_name(e->kind)));
	json_object_set_new(error, "sys", json_integer(e->sys));
	json_object_set_new(error, "message", json_text(e->msg));
	json_object_set_new(error, "hint", json_text(e->hint));
	return error;
}

void wire_error_decode(const json_t *error, struct err *ret)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *hint = json_string_value(json_object_get(error, "hint"));
	enum err_kind kind = err_kind_from_name(json_string_value(json_object_get(error, "kind")));

	/* What says that it is none is one all the same: it stands in an error's place. */
	err_set_kind(ret, kind == ERR_NONE ? ERR_FAILED : kind, "%s",
		str_is_empty(message) ? "unknown error" : message);
	ret->sys = (int)json_integer_value(json_object_get(error, "sys"));
	if (!str_is_empty(hint))
		err_hint(ret, "%s", hint);
}
