/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__thread struct failure failure;

/* ---- errors ---- */

static const struct {
	int code;
	const char *words;
} error_words[] = {
	{ VIR_ERR_INTERNAL_ERROR, "internal error: " },
	{ VIR_ERR_NO_DOMAIN, "Domain not found: " },
	{ VIR_ERR_NO_NETWORK, "Network not found: " },
	{ VIR_ERR_OPERATION_INVALID, "Requested operation is not valid: " },
	{ VIR_ERR_OPERATION_FAILED, "operation failed: " },
	{ VIR_ERR_OPERATION_TIMEOUT, "Timed out during operation: " },
	{ VIR_ERR_OPERATION_ABORTED, "operation aborted: " },
	{ VIR_ERR_OPERATION_UNSUPPORTED, "Operation not supported: " },
	{ VIR_ERR_CONFIG_UNSUPPORTED, "unsupported configuration: " },
	{ VIR_ERR_XML_ERROR, "XML error: " },
	{ VIR_ERR_INVALID_ARG, "invalid argument: " },
	{ VIR_ERR_DEVICE_MISSING, "device not found: " },
	{ VIR_ERR_ACCESS_DENIED, "access denied: " },
	{ VIR_ERR_AUTH_FAILED, "authentication failed: " },
	{ VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent is not responding: " },
};

int fail_as_is(int code, const char *message)
{
	failure.code = code;
	snprintf(failure.message, sizeof(failure.message), "%s", message);
	return -1;
}

int fail(int code, const char *fmt, ...)
{
	char what[sizeof(failure.message) - 64];
	const char *words = "";
	va_list ap;

	for (size_t i = 0; i < sizeof(error_words) / sizeof(error_words[0]); i++)
		if (error_words[i].code == code)
			words = error_words[i].words;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	failure.code = code;
	snprintf(failure.message, sizeof(failure.message), "%s%s", words, what);
	return -1;
}

/* ---- text and files ---- */

static void die(const char *what)
{
	dprintf(STDERR_FILENO, "fake libvirt: %s: %s\n", what, strerror(errno));
	abort();
}

void world_free_text(char **s)
{
	free(*s);
}

__attribute__((format(printf, 1, 0))) static char *vtext(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	return s;
}

char *text(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = vtext(fmt, ap);
	va_end(ap);
	return s;
}

static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	if (!value || !*value) {
		errno = ENOENT;
		die(name);
	}
	return value;
}

const char *world_dir(void)
{
	return from_environment("FAKE_DIR");
}

const char *world_host(void)
{
	return from_environment("FAKE_HOST");
}

char *world_path(const char *fmt, ...)
{
	CLEANUP_TEXT char *rest = NULL;
	va_list ap;

	va_start(ap, fmt);
	rest = vtext(fmt, ap);
	va_end(ap);
	return text("%s/%s", world_dir(), rest);
}

char *world_read(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t size = 0, len = 0;
	char *s = NULL;

	if (!f)
		return NULL;
	for (;;) {
		if (len + 1 >= size) {
			size = size ? 2 * size : 4096;
			s = realloc(s, size);
			if (!s)
				abort();
		}
		size_t n = fread(s + len, 1, size - len - 1, f);

		if (!n)
			break;
		len += n;
	}
	fclose(f);
	s[len] = '\0';
	return s;
}

void world_write(const char *path, const char *content)
{
	CLEANUP_TEXT char *temporary = text("%s.new.%d", path, (int)gettid());
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(content);

	if (fd < 0 || write(fd, content, len) != (ssize_t)len || close(fd) < 0 ||
		rename(temporary, path) < 0)
		die(path);
}

void world_append(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	size_t len = strlen(line);

	if (fd < 0 || write(fd, line, len) != (ssize_t)len)
		die(path);
	close(fd);
}

char *world_host_by_name(const char *name)
{
	DIR *dir = opendir(world_dir());
	char *found = NULL;
	struct dirent *d;

	while (dir && !found && (d = readdir(dir))) {
		CLEANUP_TEXT char *path = world_path("%s/names", d->d_name);
		CLEANUP_TEXT char *names = world_read(path);
		char *rest = names;

		for (char *s; rest && !found && (s = strsep(&rest, "\n"));)
			if (strcmp(s, name) == 0)
				found = strdup(d->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* ---- lock ---- */

static pthread_mutex_t lock_mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int lock_depth, lock_fd; /* guarded by lock_mutex */

int world_lock(void)
{
	CLEANUP_TEXT char *path = world_path("lock");

	pthread_mutex_lock(&lock_mutex);
	if (lock_depth++)
		return 1;
	lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (lock_fd < 0)
		die(path);
	while (flock(lock_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			die("flock");
	return 1;
}

void world_unlock(int *lock)
{
	if (--lock_depth == 0) {
		flock(lock_fd, LOCK_UN); /* a child just forked may still have the file */
		close(lock_fd);
	}
	pthread_mutex_unlock(&lock_mutex);
}

void world_forget_lock(void)
{
	lock_depth = 0;
	lock_mutex = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
}

/* ---- settings ---- */

char *world_text(const char *host, const char *key, const char *missing)
{
	CLEANUP_TEXT char *own = world_path("set/%s.%s", host, key);
	CLEANUP_TEXT char *common = world_path("set/%s", key);
	char *value = world_read(own);

	if (!value)
		value = world_read(common);
	if (!value)
		return missing ? strdup(missing) : NULL;
	value[strcspn(value, "\n")] = '\0';
	return value;
}

long world_number(const char *host, const char *key, long missing)
{
	CLEANUP_TEXT char *value = world_text(host, key, NULL);

	return value ? strtol(value, NULL, 0) : missing;
}

bool world_is(const char *host, const char *key, const char *value)
{
	CLEANUP_TEXT char *now = world_text(host, key, "");

	return strcmp(now, value) == 0;
}

bool world_is_alive(void)
{
	CLEANUP_TEXT char *path = world_path("alive");

	return access(path, F_OK) == 0;
}

/* ---- log, events, hooks ---- */

void world_log(const char *host, const char *fmt, ...)
{
	CLEANUP_TEXT char *path = world_path("log");
	CLEANUP_TEXT char *what = NULL;
	CLEANUP_TEXT char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = vtext(fmt, ap);
	va_end(ap);
	line = text("%lld %s %s\n", (long long)now_ms(), host, what);
	world_append(path, line);
}

void world_event(const char *host, const char *uuid, const char *fmt, ...)
{
	CLEANUP_TEXT char *path = world_path("%s/events", host);
	CLEANUP_TEXT char *what = NULL;
	CLEANUP_TEXT char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = vtext(fmt, ap);
	va_end(ap);
	line = text("%s %s\n", uuid, what);
	world_append(path, line);
	world_log(host, "event %s", what);
}

/* Runs a program and waits, without the preloaded library in it. */
static void run(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		unsetenv("LD_PRELOAD");
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void world_hook(const char *name)
{
	CLEANUP_TEXT char *path = world_path("hooks/%s", name);

	world_log("-", "instant %s", name);
	if (access(path, X_OK) == 0)
		run(path);
}

/* ---- calls and faults ---- */

static long count_call(const char *host, const char *call)
{
	CLEANUP_TEXT char *path = world_path("counts/%s.%s", host, call);
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_TEXT char *before = world_read(path);
	long n = (before ? strtol(before, NULL, 10) : 0) + 1;
	CLEANUP_TEXT char *after = text("%ld\n", n);

	world_write(path, after);
	return n;
}

/* All calls with an effect, as opposed to those that look. */
static bool changes_something(const char *call)
{
	static const char *const looks[] = { "virConnect", "virNetwork", "virDomainGet",
		"virDomainLookup", "virDomainIs", "virDomainInterface" };

	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
		if (strncmp(call, looks[i], strlen(looks[i])) == 0)
			return false;
	return true;
}

static bool matches(const char *pattern, const char *value)
{
	size_t len = strlen(pattern);

	if (len && pattern[len - 1] == '*')
		return strncmp(pattern, value, len - 1) == 0;
	return strcmp(pattern, value) == 0;
}

/* A daemon that does not answer, until somebody starts it anew. */
static void wait_for_release(void)
{
	CLEANUP_TEXT char *path = world_path("released");

	while (access(path, F_OK) < 0 && world_is_alive())
		sleep_ms(20);
}

static int act(char *action, const char *call, int *ret_late)
{
	char *detail = strchr(action, ':');
	int code;

	if (detail)
		*detail++ = '\0';
	code = detail ? atoi(detail) : VIR_ERR_INTERNAL_ERROR;
	if (strcmp(action, "error") == 0)
		return fail(code, "told to fail (%s)", call);
	if (strcmp(action, "late-error") == 0) {
		*ret_late = code;
	} else if (strcmp(action, "hang") == 0) {
		for (int64_t end = detail ? now_ms() + atoi(detail) : INT64_MAX;
			now_ms() < end && world_is_alive();)
			sleep_ms(20);
	} else if (strcmp(action, "stuck") == 0) {
		wait_for_release();
	} else if (strcmp(action, "kill") == 0) {
		kill(getpid(), SIGKILL);
	} else if (strcmp(action, "hook") == 0) {
		world_hook(detail ? detail : call);
	} else {
		errno = EINVAL;
		die(action);
	}
	return 0;
}

static int apply_faults(const char *host, const char *call, long n, int *ret_late)
{
	CLEANUP_TEXT char *path = world_path("faults");
	CLEANUP_TEXT char *faults = world_read(path);
	char *rest = faults, *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		char h[64], c[64], nth[16], action[128];

		if (sscanf(line, "%63s %63s %15s %127s", h, c, nth, action) != 4)
			continue;
		if (!matches(h, host) || !matches(c, call))
			continue;
		if (strcmp(nth, "*") != 0 && atol(nth) != n)
			continue;
		world_log(host, "fault %s %s", call, action);
		world_strike();
		if (act(action, call, ret_late) < 0)
			return -1;
	}
	return 0;
}

void world_strike(void)
{
	CLEANUP_TEXT char *path = world_path("struck");

	world_write(path, "");
}

/* Whether this is the first call of its kind since the fault struck, and such have to fail. */
static bool fails_in_turn(const char *host, const char *call)
{
	CLEANUP_TEXT char *wanted = world_path("set/then-fail");
	CLEANUP_TEXT char *struck = world_path("struck");
	CLEANUP_TEXT char *once = world_path("counts/then.%s.%s", host, call);
	int fd;

	if (!changes_something(call) || access(wanted, F_OK) < 0 || access(struck, F_OK) < 0)
		return false;
	fd = open(once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

int world_call(const char *call, int *ret_late, const char *fmt, ...)
{
	const char *host = world_host();
	CLEANUP_TEXT char *what = NULL;
	int late = 0, r;
	va_list ap;

	va_start(ap, fmt);
	what = vtext(fmt, ap);
	va_end(ap);
	world_log(host, "%s%s%s", call, *what ? " " : "", what);
	if (fails_in_turn(host, call)) {
		world_log(host, "fault %s in its turn", call);
		return fail(VIR_ERR_INTERNAL_ERROR, "told to fail in its turn (%s)", call);
	}
	r = apply_faults(host, call, count_call(host, call), &late);
	if (ret_late)
		*ret_late = late;
	return r;
}

/* ---- time, processes ---- */

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void sleep_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* Environment without LD_PRELOAD; the array is to be freed, its strings are not. */
static char **plain_environment(void)
{
	size_t n = 0, k = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 1, sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0)
			env[k++] = environ[i];
	return env;
}

static void become_background(const char *program, char *const argv[], char *const env[], int null,
	int err, int keep_fd)
{
	sigset_t none;

	setsid();
	if (fork() != 0)
		_exit(0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (keep_fd >= 0)
		dup2(keep_fd, 3);
	close_range(keep_fd >= 0 ? 4 : 3, ~0U, 0);
	execve(program, argv, env);
	_exit(127);
}

void world_spawn(char *const argv[], int keep_fd)
{
	const char *program = from_environment("FAKE_PROGRAM");
	char **env = plain_environment();
	CLEANUP_TEXT char *err_path = world_path("background.err");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int err = open(err_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	pid_t pid;

	/* Only calls that are safe in the child of a threaded process. */
	pid = fork();
	if (pid == 0)
		become_background(program, argv, env, null, err, keep_fd);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(null);
	close(err);
	free(env);
}
