/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lab's door into a guest: one program, three roles.
 *
 *   agent serve PORT          in the guest: run commands that arrive on a virtio port
 *   agent call SOCKET SECS    on the host: send the command read from stdin, print
 *                             its output, exit with its status
 *   agent dirty MIB RATE      in the guest: keep writing RATE MiB/s over MIB MiB
 *
 * Theory of operation: a virtio port carries bytes and no sessions.  A caller may
 * vanish in the middle, a migration may drop half a message, QEMU hands the port to
 * one caller after another.  So every message starts with a line of its own that
 * names the request, and both ends throw away whatever does not match.
 *
 *   request   LABQ id length LF command
 *   answer    LABA id status length LF output
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 128
#define BODY_MAX_BYTES (1024 * 1024)
/* what "timeout" of coreutils uses, and what nothing else is likely to return */
#define STATUS_TIMED_OUT 124
#define STATUS_NO_ANSWER 125
#define COMMAND_LIMIT_SECS 120

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Read exactly len bytes before the deadline.  0 done, -1 not. */
static int read_full(int fd, void *buf, size_t len, long long deadline_ms)
{
	char *at = buf;

	while (len > 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		long long left_ms = deadline_ms - now_ms();
		ssize_t n;

		if (left_ms <= 0 || poll(&p, 1, left_ms) <= 0)
			return -1;
		n = read(fd, at, len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return -1;
		at += n;
		len -= n;
	}
	return 0;
}

/* Read one line without its end.  0 a line, 1 too long (skipped), -1 none. */
static int read_line(int fd, char *line, size_t size, long long deadline_ms)
{
	size_t at = 0;
	int is_long = 0;

	for (;;) {
		char c;

		if (read_full(fd, &c, 1, deadline_ms) < 0)
			return -1;
		if (c == '\n')
			break;
		if (at + 1 < size)
			line[at++] = c;
		else
			is_long = 1;
	}
	line[at] = '\0';
	return is_long;
}

static int write_full(int fd, const void *buf, size_t len, long long deadline_ms)
{
	const char *at = buf;

	while (len > 0) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		long long left_ms = deadline_ms - now_ms();
		ssize_t n;

		if (left_ms <= 0 || poll(&p, 1, left_ms) <= 0)
			return -1;
		/* the other end of a virtio port is closed: nobody wants this */
		if (p.revents & POLLHUP)
			return -1;
		n = write(fd, at, len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return -1;
		at += n;
		len -= n;
	}
	return 0;
}

/* Run a command, collect what it prints.  Returns an exit status like a shell's. */
static int run_command(const char *command, char *out, size_t size, size_t *ret_len)
{
	long long deadline_ms = now_ms() + COMMAND_LIMIT_SECS * 1000LL;
	size_t len = 0;
	int pipe_fd[2];
	int status;
	pid_t pid;

	*ret_len = 0;
	if (pipe(pipe_fd) < 0)
		return STATUS_NO_ANSWER;
	pid = fork();
	if (pid < 0) {
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		return STATUS_NO_ANSWER;
	}
	if (pid == 0) {
		int null_fd = open("/dev/null", O_RDONLY);

		setsid();
		dup2(null_fd, 0);
		dup2(pipe_fd[1], 1);
		dup2(pipe_fd[1], 2);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(pipe_fd[1]);
	for (;;) {
		struct pollfd p = { .fd = pipe_fd[0], .events = POLLIN };
		long long left_ms = deadline_ms - now_ms();
		char scratch[4096];
		size_t room = size - len;
		ssize_t n;

		if (left_ms <= 0 || poll(&p, 1, left_ms) <= 0) {
			kill(-pid, SIGKILL);
			break;
		}
		n = room ? read(pipe_fd[0], out + len, room)
			 : read(pipe_fd[0], scratch, sizeof(scratch));
		if (n <= 0)
			break;
		if (room)
			len += n;
	}
	close(pipe_fd[0]);
	waitpid(pid, &status, 0);
	*ret_len = len;
	if (now_ms() >= deadline_ms)
		return STATUS_TIMED_OUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int serve(const char *port)
{
	static char command[BODY_MAX_BYTES + 1];
	static char output[BODY_MAX_BYTES];
	int fd = open(port, O_RDWR | O_NONBLOCK);

	if (fd < 0) {
		perror(port);
		return 1;
	}
	for (;;) {
		char line[LINE_MAX_BYTES];
		char head[LINE_MAX_BYTES];
		char id[64];
		size_t body_len;
		size_t out_len;
		int status;
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, -1) < 0)
			continue;
		if (p.revents & POLLHUP || !(p.revents & POLLIN)) {
			/* nobody is connected (a read would say end of file at once, for
			 * ever), and the port gives no other way to wait */
			usleep(100000);
			continue;
		}
		if (read_line(fd, line, sizeof(line), now_ms() + 2000) != 0)
			continue;
		if (sscanf(line, "LABQ %63s %zu", id, &body_len) != 2 ||
			body_len > BODY_MAX_BYTES)
			continue;
		if (read_full(fd, command, body_len, now_ms() + 5000) < 0)
			continue;
		command[body_len] = '\0';
		status = run_command(command, output, sizeof(output), &out_len);
		snprintf(head, sizeof(head), "\nLABA %s %d %zu\n", id, status, out_len);
		if (write_full(fd, head, strlen(head), now_ms() + 5000) == 0)
			write_full(fd, output, out_len, now_ms() + 10000);
	}
}

static int call(const char *path, int limit_secs)
{
	static char body[BODY_MAX_BYTES];
	long long deadline_ms = now_ms() + limit_secs * 1000LL;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char id[64];
	char line[LINE_MAX_BYTES];
	size_t len = 0;
	ssize_t n;
	int fd;

	while ((n = read(0, body + len, sizeof(body) - len)) > 0)
		len += n;
	if (strlen(path) >= sizeof(sa.sun_path)) {
		fprintf(stderr, "%s: path too long\n", path);
		return STATUS_NO_ANSWER;
	}
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror(path);
		return STATUS_NO_ANSWER;
	}
	snprintf(id, sizeof(id), "%d.%lld", (int)getpid(), now_ms());
	snprintf(line, sizeof(line), "\nLABQ %s %zu\n", id, len);
	if (write_full(fd, line, strlen(line), deadline_ms) < 0 ||
		write_full(fd, body, len, deadline_ms) < 0) {
		fprintf(stderr, "%s: the guest takes no command\n", path);
		return STATUS_NO_ANSWER;
	}
	for (;;) {
		char got_id[64];
		size_t out_len;
		int status;

		if (read_line(fd, line, sizeof(line), deadline_ms) < 0) {
			fprintf(stderr, "%s: no answer from the guest\n", path);
			return STATUS_NO_ANSWER;
		}
		if (sscanf(line, "LABA %63s %d %zu", got_id, &status, &out_len) != 3 ||
			strcmp(got_id, id) != 0 || out_len > sizeof(body))
			continue;
		if (read_full(fd, body, out_len, deadline_ms) < 0) {
			fprintf(stderr, "%s: answer cut short\n", path);
			return STATUS_NO_ANSWER;
		}
		fwrite(body, 1, out_len, stdout);
		return fflush(stdout) == 0 ? status : STATUS_NO_ANSWER;
	}
}

static int dirty(size_t mib, size_t mib_per_sec)
{
	size_t size = mib << 20;
	size_t pages_per_tick = (mib_per_sec << 20) / 4096 / 50;
	unsigned char *mem = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at = 0;
	unsigned long round = 0;

	if (mem == MAP_FAILED || mib_per_sec == 0) {
		fprintf(stderr, "dirty: bad size or no memory\n");
		return 1;
	}
	for (;;) {
		for (size_t i = 0; i < pages_per_tick; i++) {
			*(unsigned long *)(mem + at) = ++round;
			at = (at + 4096) % size;
		}
		usleep(20000);
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 4 && strcmp(argv[1], "call") == 0)
		return call(argv[2], atoi(argv[3]));
	if (argc == 4 && strcmp(argv[1], "dirty") == 0)
		return dirty(atoi(argv[2]), atoi(argv[3]));
	fprintf(stderr, "usage: agent serve PORT | call SOCKET SECS | dirty MIB RATE\n");
	return 2;
}
