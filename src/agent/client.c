/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/wire.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum {
	GARBAGE_MAX = 200,
	END_LIMIT_MS = 3000,
	STDERR_KEEP = 600,
	STUCK_LIMIT_MS = 1000,
	STOOD_STILL_MS = 5000
};
enum { STATUS_SSH_FAILED = 255, STATUS_NO_COMMAND = 127 };

struct client {
	char *label; /* owned */
	pid_t pid;   /* 0: reaped */
	int status;  /* of the process, once reaped */
	int fd;      /* owned; both directions */
	int err_fd;  /* owned; what the process writes on stderr; -1: closed */
	struct wire_in in;
	struct wire_out out;
	int64_t next_id;
	bool lost;
	bool stuck;    /* did not answer in time: what is asked now waits behind that */
	bool answered; /* at least one line was JSON */
	bool silent;   /* given up for that */
	bool beats;    /* it has answered a heartbeat */
	int64_t heard; /* clock_ms() of the last line */
	bool goes_on;  /* when the wire is closed */
	int garbage;   /* lines that were not */
	char said[STDERR_KEEP + 1]; /* the end of its stderr */
};

struct client_beat {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	struct client *v[2]; /* borrowed */
	size_t n;
};

/* Runs in the child. The agent gets a session of its own: a terminal's ^C is the driver's. */
static void become_agent(int wire, int err, char *const argv[])
{
	sigset_t none;

	setsid();
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL); /* the driver has blocked those that it reads */
	dup2(wire, STDIN_FILENO);
	dup2(wire, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(STATUS_NO_COMMAND);
}

struct client *client_attach(const char *label, int fd)
{
	struct client *c = mem_new(sizeof(*c));

	c->label = str_dup(label);
	c->fd = fd;
	c->err_fd = -1;
	wire_in_init(&c->in, fd);
	wire_out_init(&c->out, fd);
	return c;
}

int client_start(const char *label, char *const argv[], struct client **ret, struct err *e)
{
	int wire[2], errs[2];
	struct client *c;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire) < 0)
		return err_set_sys(e, errno, "socketpair");
	if (pipe2(errs, O_CLOEXEC) < 0) {
		err_set_sys(e, errno, "pipe");
		close(wire[0]);
		close(wire[1]);
		return -1;
	}
	log_debug("start agent for %s: %s", label, argv[0]);
	pid = fork();
	if (pid == 0)
		become_agent(wire[1], errs[1], argv);
	close(wire[1]);
	close(errs[1]);
	if (pid < 0) {
		err_set_sys(e, errno, "fork");
		close(wire[0]);
		close(errs[0]);
		return -1;
	}
	c = client_attach(label, wire[0]);
	c->pid = pid;
	c->err_fd = errs[0];
	fcntl(c->err_fd, F_SETFL, O_NONBLOCK);
	*ret = c;
	return 0;
}

bool client_is_lost(const struct client *c)
{
	return c->lost;
}

void client_give_up(struct client *c)
{
	shutdown(c->fd, SHUT_RDWR);
	c->lost = true;
}

void client_let_go_on(struct client *c)
{
	c->goes_on = true;
}

const char *client_label(const struct client *c)
{
	return c->label;
}

void client_set_label(struct client *c, const char *label)
{
	str_set(&c->label, label);
}

/* Reaps the process if it ends within LIMIT_MS; true when it is reaped. */
static bool reap(struct client *c, int64_t limit_ms)
{
	int64_t deadline = clock_ms() + limit_ms;

	while (c->pid) {
		pid_t r = waitpid(c->pid, &c->status, WNOHANG);

		if (r == c->pid || (r < 0 && errno == ECHILD))
			c->pid = 0;
		else if (clock_ms() >= deadline)
			return false;
		else
			clock_sleep_ms(5);
	}
	return true;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	shutdown(c->fd, SHUT_RDWR);
	close(c->fd);
	if (c->err_fd >= 0)
		close(c->err_fd);
	reap(c, c->goes_on ? 0 : END_LIMIT_MS);
	wire_in_free(&c->in);
	free(c->label);
	free(c);
}

void call_free(struct call *c)
{
	json_decref(c->result);
	c->result = NULL;
}

static void call_fail(struct call *call, const struct err *e)
{
	call->done = call->failed = true;
	call->err = *e;
	err_prefix(&call->err, "%s", call->client->label);
}

void call_start(struct call *call, struct client *client, const char *op, json_t *args,
	int64_t timeout_ms)
{
	json_t *msg = json_object();
	struct err e;

	if (client->stuck && timeout_ms > STUCK_LIMIT_MS)
		timeout_ms = STUCK_LIMIT_MS;
	*call = (struct call){ .client = client,
		.op = op,
		.id = ++client->next_id,
		.deadline = clock_ms() + timeout_ms };
	json_object_set_new(msg, "id", json_integer(call->id));
	json_object_set_new(msg, "op", json_string(op));
	json_object_set_new(msg, "args", args ? args : json_object());
	/* A failure to send shows as end of file, with a better explanation. */
	wire_send(&client->out, msg, &e);
}

/* A line that gets no answer. Takes ARGS (NULL: none). */
static void send_notice(struct client *c, const char *op, json_t *args)
{
	json_t *msg = json_object();
	struct err ignored; /* a wire that is broken is noticed by whoever reads it */

	json_object_set_new(msg, "op", json_string(op));
	if (args)
		json_object_set_new(msg, "args", args);
	wire_send(&c->out, msg, &ignored);
}

void call_cancel(const struct call *call)
{
	json_t *args = json_object();

	json_object_set_new(args, "id", json_integer(call->id));
	send_notice(call->client, "cancel", args);
}

void client_tell_switching(struct client *c)
{
	send_notice(c, "switching", NULL);
}

static void drain_stderr(struct client *c)
{
	char buf[512];
	ssize_t n;

	if (c->err_fd < 0)
		return;
	while ((n = read(c->err_fd, buf, sizeof(buf) - 1)) > 0) {
		size_t have = strlen(c->said), keep;

		buf[n] = '\0';
		keep = have + (size_t)n > STDERR_KEEP ? STDERR_KEEP - (size_t)n : have;
		memmove(c->said, c->said + have - keep, keep);
		str_copy(c->said + keep, sizeof(c->said) - keep, buf);
	}
	if (n == 0) {
		close(c->err_fd);
		c->err_fd = -1;
	}
}

/* The last thing the process said on stderr, on one line. */
static const char *last_words(struct client *c)
{
	char *end, *start;

	drain_stderr(c);
	end = c->said + strlen(c->said);
	while (end > c->said && (end[-1] == '\n' || end[-1] == '\r'))
		*--end = '\0';
	start = strrchr(c->said, '\n');
	return start ? start + 1 : c->said;
}

/*
 * ssh's last words where connect(2) failed, or the jump host's where its did. A host that takes the
 * connection and says nothing then ("timed out during banner exchange") is not off, and where the jump
 * host itself is (its ssh says so first), nothing is known.
 */
static bool tells_of_silence(const char *line, bool is_last)
{
	static const char *const signs[] = { "timed out", "No route to host", "unreachable" };
	bool of_connect = (is_last && str_starts(line, "ssh: connect to host ")) ||
			  strstr(line, "open failed: connect failed: ");

	for (size_t i = 0; of_connect && i < ARRAY_SIZE(signs); i++)
		if (strstr(line, signs[i]))
			return true;
	return false;
}

bool client_is_silent(struct client *c)
{
	CLEANUP_FREE char *said = NULL;
	const char *last;
	bool silent = false;

	if (!c->lost || c->answered || c->pid != 0 || !WIFEXITED(c->status) ||
		WEXITSTATUS(c->status) != STATUS_SSH_FAILED)
		return false;
	last = last_words(c);
	said = str_dup(c->said);
	for (char *rest = said, *line; (line = strsep(&rest, "\r\n"));)
		silent = silent || tells_of_silence(line, str_equal(line, last));
	return silent;
}

static void explain_early_end(struct client *c, struct err *e)
{
	int status = WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1;
	const char *words = last_words(c);

	if (status == STATUS_NO_COMMAND) {
		err_set_kind(e, ERR_REFUSED, "sriov-migrate was not found there (%s)", words);
		err_hint(e, "Install the same version there, or name its place with agent-path.");
	} else if (status == STATUS_SSH_FAILED) {
		err_set_kind(e, ERR_REFUSED, "ssh could not log in: %s", words);
		err_hint(e, "ssh must get in without asking (keys, known_hosts): try "
			    "\"ssh -oBatchMode=yes HOST true\".");
	} else {
		err_set_kind(e, ERR_REFUSED, "the agent ended before it answered%s%s",
			*words ? ": " : "", words);
	}
}

static void explain_loss(struct client *c, struct err *e)
{
	reap(c, 500);
	if (!c->answered && c->pid == 0)
		explain_early_end(c, e);
	else
		err_set_kind(e, ERR_LOST, "%s%s%s",
			c->silent ? "the agent is silent" : "the connection to the agent was lost",
			*last_words(c) ? ": " : "", last_words(c));
}

/* The agent's answer to CALL. */
static void take_answer(struct call *call, const json_t *msg)
{
	json_t *error = json_object_get(msg, "error"), *result = json_object_get(msg, "result");
	struct err e;

	if (error) {
		wire_error_decode(error, &e);
		call_fail(call, &e);
	} else if (!json_is_object(result)) {
		err_set(&e, "the agent's answer to \"%s\" is neither a result nor an error",
			call->op);
		call_fail(call, &e);
	} else {
		call->done = true;
		call->result = json_incref(result);
	}
}

static void finish_call(struct call *const *calls, size_t n, struct client *c, const json_t *msg)
{
	int64_t id = json_integer_value(json_object_get(msg, "id"));

	c->stuck = false;
	for (size_t i = 0; i < n; i++) {
		if (calls[i]->client != c || calls[i]->id != id || calls[i]->done)
			continue;
		take_answer(calls[i], msg);
		return;
	}
	log_debug("%s: an answer nobody waits for, to request %lld", c->label, (long long)id);
}

static void handle_line(struct client_group *g, struct client *c, const char *line,
	struct call *const *calls, size_t n)
{
	json_t *msg = wire_parse(line);
	const char *event;

	/* Login scripts set a terminal's title, without an end of the line. */
	if (!msg && !c->answered && strchr(line, '{'))
		msg = wire_parse(strchr(line, '{'));
	if (!msg) {
		/* Login scripts print things; a few lines of that are tolerated. */
		log_debug("%s says: %s", c->label, line);
		if (++c->garbage > GARBAGE_MAX)
			c->lost = true;
		return;
	}
	c->answered = true;
	event = json_string_value(json_object_get(msg, "event"));
	c->beats = c->beats || str_equal(event, "beat");
	if (!event)
		finish_call(calls, n, c, msg);
	else if (g->on_event)
		g->on_event(g->arg, c, event, json_object_get(msg, "data"));
	json_decref(msg);
}

static void read_client(struct client_group *g, struct client *c, struct call *const *calls,
	size_t n)
{
	struct err e;
	char *line;

	c->heard = clock_ms();
	if (wire_fill(&c->in, &e) < 0)
		c->lost = true;
	while ((line = wire_line(&c->in))) {
		handle_line(g, c, line, calls, n);
		free(line);
	}
	if (c->in.eof)
		c->lost = true;
}

/* Ends calls whose agent is gone or whose time is up; true when all are done. */
static bool check_calls(struct call *const *calls, size_t n)
{
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		struct call *call = calls[i];
		struct err e;

		if (call->done)
			continue;
		if (call->client->lost) {
			explain_loss(call->client, &e);
			call_fail(call, &e);
		} else if (clock_ms() >= call->deadline) {
			call_cancel(call);
			call->client->stuck = true;
			err_set_kind(&e, ERR_TIMEOUT, "no answer to \"%s\" in time", call->op);
			call_fail(call, &e);
		}
		all = all && call->done;
	}
	return all;
}

static int64_t next_deadline(struct call *const *calls, size_t n)
{
	int64_t next = clock_ms() + 1000;

	for (size_t i = 0; i < n; i++)
		if (!calls[i]->done && calls[i]->deadline < next)
			next = calls[i]->deadline;
	return next;
}

/* One that is stopped would be waited for as long as what it was asked may take. */
static void give_up_if_silent(struct client *c)
{
	if (c->lost || !c->beats || clock_ms() < c->heard + WIRE_AGENT_SILENCE_MS)
		return;
	c->silent = true;
	client_give_up(c);
}

static void wait_once(struct client_group *g, struct call *const *calls, size_t n)
{
	int64_t left = next_deadline(calls, n) - clock_ms();
	struct pollfd fds[5];
	size_t n_fds = 0;
	bool stood_still;

	for (size_t i = 0; i < ARRAY_SIZE(g->v); i++) {
		struct client *c = g->v[i];

		fds[n_fds++] =
			(struct pollfd){ .fd = c && !c->lost ? c->fd : -1, .events = POLLIN };
		fds[n_fds++] = (struct pollfd){ .fd = c ? c->err_fd : -1, .events = POLLIN };
	}
	fds[n_fds++] = (struct pollfd){ .fd = g->signal_fd, .events = POLLIN };
	stood_still = clock_ms() > g->looked + STOOD_STILL_MS;
	if (poll(fds, n_fds, left > 0 ? (int)left : 0) < 0)
		return;
	g->looked = clock_ms();
	for (size_t i = 0; i < ARRAY_SIZE(g->v); i++) {
		struct client *c = g->v[i];

		if (c && fds[2 * i + 1].revents)
			drain_stderr(c);
		if (c && fds[2 * i].revents)
			read_client(g, c, calls, n);
		/* Who stood still itself has asked for no sign of life meanwhile. */
		else if (c && stood_still)
			c->heard = clock_ms();
		else if (c)
			give_up_if_silent(c);
	}
	if (fds[n_fds - 1].revents && g->on_signal)
		g->on_signal(g->arg);
}

void call_wait(struct client_group *g, struct call *const *calls, size_t n, const bool *until)
{
	while (!check_calls(calls, n) && !(until && *until))
		wait_once(g, calls, n);
}

void call_wait_any(struct client_group *g, struct call *const *calls, size_t n)
{
	for (;;) {
		check_calls(calls, n);
		for (size_t i = 0; i < n; i++)
			if (calls[i]->done)
				return;
		wait_once(g, calls, n);
	}
}

int call_once(struct client_group *g, struct client *client, const char *op, json_t *args,
	int64_t timeout_ms, json_t **ret, struct err *e)
{
	CLEANUP_CALL struct call call = { 0 };
	struct call *list[] = { &call };

	call_start(&call, client, op, args, timeout_ms);
	call_wait(g, list, 1, NULL);
	if (call.failed) {
		*e = call.err;
		return -1;
	}
	if (ret)
		*ret = TAKE_PTR(call.result);
	return 0;
}

static void send_beats(struct client_beat *b)
{
	for (size_t i = 0; i < b->n; i++)
		send_notice(b->v[i], "beat", NULL);
}

static void *beat(void *arg)
{
	struct client_beat *b = arg;

	pthread_mutex_lock(&b->lock);
	while (!b->stop) {
		int64_t until = clock_ms() + WIRE_BEAT_MS;
		struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

		send_beats(b);
		pthread_cond_timedwait(&b->changed, &b->lock, &ts);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

void client_group_init(struct client_group *g)
{
	struct client_beat *b = mem_new(sizeof(*b));
	pthread_condattr_t attr;

	*g = (struct client_group){ .signal_fd = -1, .beat = b };
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&b->thread, NULL, beat, b))
		abort();
}

void client_group_add(struct client_group *g, struct client *c)
{
	pthread_mutex_lock(&g->beat->lock);
	g->v[g->beat->n] = c;
	g->beat->v[g->beat->n++] = c;
	pthread_mutex_unlock(&g->beat->lock);
	/* At once: whoever has answered one can be found silent. */
	send_notice(c, "beat", NULL);
}

void client_group_replace(struct client_group *g, struct client *old, struct client *new)
{
	client_set_label(new, old->label);
	pthread_mutex_lock(&g->beat->lock);
	for (size_t i = 0; i < g->beat->n; i++)
		if (g->v[i] == old)
			g->v[i] = g->beat->v[i] = new;
	pthread_mutex_unlock(&g->beat->lock);
	send_notice(new, "beat", NULL);
	client_free(old);
}

void client_group_free(struct client_group *g)
{
	struct client_beat *b = g->beat;

	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	free(b);
	for (size_t i = 0; i < ARRAY_SIZE(g->v); i++)
		client_free(g->v[i]);
}
