/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/mem.h"

struct link_monitor {
	struct cancel *wake;       /* borrowed */
	struct mnl_socket *socket; /* owned */
	int stop_pipe[2];          /* owned; the thread ends when the writing end is closed */
	pthread_t thread;
};

/* ENOBUFS (messages were lost) is news as well: the waiter looks again anyway. */
static void drain(struct mnl_socket *s)
{
	char buf[4096];

	while (recv(mnl_socket_get_fd(s), buf, sizeof(buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
}

static void *listen_for_news(void *arg)
{
	struct link_monitor *m = arg;
	struct pollfd fds[] = {
		{ .fd = mnl_socket_get_fd(m->socket), .events = POLLIN },
		{ .fd = m->stop_pipe[0], .events = POLLIN },
	};

	while ((poll(fds, ARRAY_SIZE(fds), -1) >= 0 || errno == EINTR) && !fds[1].revents) {
		drain(m->socket);
		cancel_wake(m->wake);
	}
	return NULL;
}

static int open_socket(struct mnl_socket **ret, struct err *e)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (!s)
		return err_set_sys(e, errno, "netlink socket");
	if (mnl_socket_bind(s, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0) {
		err_set_sys(e, errno, "netlink bind");
		mnl_socket_close(s);
		return -1;
	}
	*ret = s;
	return 0;
}

static void free_monitor(struct link_monitor *m)
{
	close(m->stop_pipe[0]);
	mnl_socket_close(m->socket);
	free(m);
}

int link_monitor_start(struct cancel *wake, struct link_monitor **ret, struct err *e)
{
	struct link_monitor *m = mem_new(sizeof(*m));

	m->wake = wake;
	if (open_socket(&m->socket, e) < 0) {
		free(m);
		return -1;
	}
	if (pipe2(m->stop_pipe, O_CLOEXEC) < 0) {
		err_set_sys(e, errno, "pipe");
		mnl_socket_close(m->socket);
		free(m);
		return -1;
	}
	if (pthread_create(&m->thread, NULL, listen_for_news, m)) {
		err_set(e, "no thread to watch network devices");
		close(m->stop_pipe[1]);
		free_monitor(m);
		return -1;
	}
	*ret = m;
	return 0;
}

void link_monitor_stop(struct link_monitor *m)
{
	close(m->stop_pipe[1]);
	pthread_join(m->thread, NULL);
	free_monitor(m);
}
