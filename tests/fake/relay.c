/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a network connection is to the program: "fake-host relay COMMAND…" runs COMMAND in a
 * session of its own and passes bytes on. Killed, both sides see the end of the connection.
 * With the setting link=silent nothing passes any more, and nobody is told: after link.ms (10 s,
 * as the program asks of ssh) this side gives up as ssh does, and the other never hears of it.
 */
#include "relay.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

enum { SILENCE_MS = 10000, LOOK_MS = 50 };

struct direction {
	int from, to;
};

/* Passes on what there is; closes both at the end of file. */
static void pass(struct direction *d)
{
	char buf[65536];
	ssize_t n = read(d->from, buf, sizeof(buf));

	for (ssize_t done = 0; done < n;) {
		ssize_t w = write(d->to, buf + done, (size_t)(n - done));

		if (w <= 0) {
			n = 0;
			break;
		}
		done += w;
	}
	if (n > 0)
		return;
	close(d->from);
	close(d->to);
	d->from = -1;
}

static void become(char **argv, int in, int out, int err)
{
	setsid();
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close_range(3, ~0U, 0);
	execvp(argv[0], argv);
	_exit(127);
}

/* Keeps the other side's files open, as a host does that has not noticed. */
static void hold_open(void)
{
	if (fork() != 0)
		return;
	setsid();
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	while (world_is_alive())
		sleep_ms(LOOK_MS);
	_exit(0);
}

/* True when the connection has been silent for too long. */
static bool is_dead(int64_t *since)
{
	if (!world_is(world_host(), "link", "silent")) {
		*since = 0;
		return false;
	}
	if (!*since)
		*since = now_ms();
	return now_ms() >= *since + world_number(world_host(), "link.ms", SILENCE_MS);
}

/* Until the command has ended, or the connection has; false: the latter. */
static bool pass_all(struct direction *d)
{
	int64_t silent_since = 0;

	while (d[1].from >= 0 || d[2].from >= 0) {
		struct pollfd fds[3];

		if (is_dead(&silent_since))
			return false;
		for (int i = 0; i < 3; i++)
			fds[i] = (struct pollfd){ .fd = d[i].from, .events = POLLIN };
		if (silent_since)
			sleep_ms(LOOK_MS);
		else if (poll(fds, 3, LOOK_MS) > 0 && !is_dead(&silent_since) && !silent_since)
			for (int i = 0; i < 3; i++)
				if (fds[i].revents)
					pass(&d[i]);
	}
	return true;
}

int relay(char **argv)
{
	int in[2], out[2], err[2], status = 0;
	struct direction d[3];
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	if (pipe(in) < 0 || pipe(out) < 0 || pipe(err) < 0)
		abort();
	pid = fork();
	if (pid == 0)
		become(argv, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	d[0] = (struct direction){ STDIN_FILENO, in[1] };
	d[1] = (struct direction){ out[0], STDOUT_FILENO };
	d[2] = (struct direction){ err[0], STDERR_FILENO };
	if (!pass_all(d)) {
		hold_open();
		dprintf(STDERR_FILENO, "Timeout, server not responding.\n");
		return 255;
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
