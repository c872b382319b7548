/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One end: answers the driver's requests until it goes away, then settles what is open. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "agent/journal.h"
#include "cmd/cmd.h"
#include "core/alone.h"
#include "core/driver.h"
#include "core/late.h"
#include "core/requests.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

/*
 * How long, and how often, an agent without a driver tries to settle together with the other
 * host.
 */
enum {
	IDLE_END_MS = 3000,
	JOINTLY_LIMIT_MS = 600000,
	JOINTLY_PAUSE_MS = 500,
	JOINTLY_PAUSE_MAX_MS = 5000 /* a guest may stand still until then */
};

/* The log's sink has no argument of its own. */
static struct server *log_server;

static void log_to_driver(enum log_level level, const char *text)
{
	json_t *data = json_object();

	if (level == LOG_LEVEL_WARN)
		syslog(LOG_WARNING, "%s", text);
	json_object_set_new(data, "text", json_text(text));
	server_event(log_server, level == LOG_LEVEL_WARN ? "warning" : "log", data);
}

static void tell_driver(void *arg, const char *event, json_t *data)
{
	struct agent *a = arg;

	server_event(a->server, event, data);
}

static void on_switching(void *ctx)
{
	struct agent *a = ctx;

	end_set_switching(&a->end);
}

/* "recover DOMAIN" in a process of its own; its exit status. */
static int run_recover(const char *uuid, const char *libvirt_uri)
{
	char self[4096], *argv[] = { self, (char *)"--quiet", (char *)"recover", (char *)uuid,
		(char *)(libvirt_uri ? "--libvirt-uri" : NULL), (char *)libvirt_uri, NULL };
	pid_t pid;
	int status;

	driver_own_path(self, sizeof(self));
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			dup2(null, fd);
		setenv(CMD_UNATTENDED, "1", 1);
		execv(self, argv);
		_exit(STATUS_INCOMPLETE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return STATUS_INCOMPLETE;
	return WEXITSTATUS(status);
}

/* What this end cannot decide alone, both hosts can, as soon as the other one answers. */
static void settle_jointly(const struct end *end, const char *uuid, const char *libvirt_uri)
{
	int64_t limit = clock_ms() + JOINTLY_LIMIT_MS, pause = JOINTLY_PAUSE_MS;
	int status = STATUS_INCOMPLETE, told = -1;

	while (clock_ms() < limit && journal_exists(uuid) && !end_is_told_to_stop(end) &&
		(status == STATUS_INCOMPLETE || status == STATUS_BUSY ||
			status == STATUS_REFUSED /* libvirt is down */)) {
		clock_sleep_ms(pause);
		pause = pause * 2 < JOINTLY_PAUSE_MAX_MS ? pause * 2 : JOINTLY_PAUSE_MAX_MS;
		status = run_recover(uuid, libvirt_uri);
		if (status != told)
			syslog(LOG_NOTICE, "domain %s: recover: exit status %d", uuid, status);
		told = status;
	}
}

static int settle_or_watch(struct agent *a, const char *why, struct err *e)
{
	int r = 0;

	if (!a->watches) {
		syslog(LOG_NOTICE, "%s: %s; settling this end", a->end.order.name, why);
		r = alone_settle(&a->end, e);
	}
	if (!a->watches && (!late_unplug_is_open(&a->end) ||
				   (r < 0 && (end_was_moved(&a->end) || e->kind == ERR_CANCELLED))))
		return r;
	/* Whatever else is left: who goes away now would leave the guest cut off when it gives up its VF. */
	syslog(LOG_NOTICE, "%s: watching for an unplug that was asked for in vain",
		a->end.order.name);
	return late_unplug_watch(&a->end, e);
}

/* The driver is gone: nobody but this process settles this end now. */
static void settle_left_open(struct agent *a, const char *why)
{
	CLEANUP_FREE char *uuid = str_dup(a->end.order.uuid);
	CLEANUP_FREE char *name = str_dup(a->end.order.name);
	struct err e = { 0 };
	int r = settle_or_watch(a, why, &e);

	if (r < 0)
		end_close(&a->end, false);
	else
		r = end_finish(&a->end, &e);
	if (r == 0)
		return;
	syslog(LOG_WARNING, "%s: not settled alone: %s", name, e.msg);
	/*
	 * The agent that has started this run asks again: were this one to ask as well, they would multiply. Of
	 * one that has settled, and watched then, nobody else knows.
	 */
	if (!getenv(CMD_UNATTENDED) || a->watches)
		settle_jointly(&a->end, uuid, a->libvirt_uri);
}

/* A session of its own: what ends the driver's terminal or login does not end the agent. */
static int detach_from_login(void)
{
	sigset_t set;

	/* Before any thread exists. SIGTERM ends the agent as the driver's end does: it settles. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	setsid();
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cmd_agent(const struct options *o, int argc, char **argv, struct err *e)
{
	struct agent a = { .end.stop_fd = -1 };
	const char *why;
	int stop_fd;

	stop_fd = detach_from_login();
	openlog("sriov-migrate", LOG_PID, LOG_DAEMON);
	cancel_init(&a.cancel);
	a.end.cancel = &a.cancel;
	a.end.tell = tell_driver;
	a.end.tell_arg = &a;
	a.server = log_server = server_new(STDIN_FILENO, STDOUT_FILENO, stop_fd, requests,
		n_requests, on_switching, &a, &a.cancel);
	log_init(LOG_LEVEL_WARN, log_to_driver);
	why = server_run(a.server);
	/* Who has nothing to settle does not wait for a libvirt that hangs. */
	if (!server_end(a.server, a.end.open ? -1 : IDLE_END_MS))
		_exit(STATUS_DONE);
	/* SIGTERM leaves it alone first; once more, and it stops waiting. */
	a.end.stop_fd = stop_fd;
	end_clear_stop(&a.end);
	if (a.end.open)
		settle_left_open(&a, why);
	nl_close(a.end.nl);
	virt_close(a.end.virt);
	log_init(LOG_LEVEL_QUIET, NULL);
	server_free(a.server);
	free(a.libvirt_uri);
	return STATUS_DONE;
}
