/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/check.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/say.h"
#include "util/str.h"

/* The first one is meant when no command is named. */
static const struct cmd commands[] = {
	{ "migrate", "DOMAIN HOST",
		"move a running domain to HOST, its VF taken away and given back", 2, 2,
		cmd_migrate },
	{ "check", "DOMAIN HOST", "say whether it could be moved; change nothing", 2, 2,
		cmd_check },
	{ "reattach", "DOMAIN", "give a domain here its VF back, prove it, standby down", 1, 1,
		cmd_reattach },
	{ "recover", "[DOMAIN]...", "settle what an interrupted run left on this host", 0, INT_MAX,
		cmd_recover },
	{ "agent", "", "one end of a migration; started by the others, here and over ssh", 0, 0,
		cmd_agent },
};

static const char exit_statuses[] =
	"Exit status:\n  0  done and proved, or already there, on its VF\n"
	"  1  failed and rolled back, or the guest ended by itself\n"
	"  2  usage or configuration error\n"
	"  3  refused by a check; nothing was changed\n"
	"  4  migrated, but a VF is missing; the standby carries the traffic\n"
	"  5  not all could be undone, or the outcome is unknown\n"
	"  6  busy: another run holds the domain or the VF\n";

static void print_summary(void)
{
	printf("Usage: sriov-migrate [OPTION]... DOMAIN HOST\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("       sriov-migrate [OPTION]... %s%s%s\n", commands[i].name,
			*commands[i].arguments ? " " : "", commands[i].arguments);
	printf("\nLive-migrates libvirt guests that have an SR-IOV virtual function, without loss "
	       "of network.\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-32s %s\n", commands[i].name, commands[i].help);
	printf("\nHOST is an ssh destination ([user@]host) or a libvirt URI.\n\nOptions:\n");
	options_print_help(stdout);
	printf("\n%s\nSee sriov-migrate(8) and sriov-migrate.conf(5).\n", exit_statuses);
}

/* The command meant, and how many words its name took. */
static const struct cmd *find_command(int argc, char **argv, int *ret_words)
{
	*ret_words = 1;
	for (size_t i = 0; argc > 0 && i < ARRAY_SIZE(commands); i++)
		if (str_equal(commands[i].name, argv[0]))
			return &commands[i];
	*ret_words = 0;
	return &commands[0];
}

/* Of the command named, where it has something to add. */
static void print_help(int argc, char **argv)
{
	int words;
	const struct cmd *c = find_command(argc, argv, &words);

	if (words && c->fn == cmd_check) {
		printf("Usage: sriov-migrate [OPTION]... %s %s\n\n", c->name, c->arguments);
		check_print_help(stdout);
	} else {
		print_summary();
	}
}

static int run_command(const struct options *o, int argc, char **argv, struct err *e)
{
	int words, given;
	const struct cmd *c = find_command(argc, argv, &words);

	given = argc - words;
	if (given >= c->min_arguments && given <= c->max_arguments)
		return c->fn(o, given, argv + words, e);
	err_set_kind(e, ERR_USAGE, "too %s arguments; usage: sriov-migrate %s %s",
		given < c->min_arguments ? "few" : "many", c->name, c->arguments);
	return err_hint(e, "See sriov-migrate --help.");
}

static int parse(struct options *o, int argc, char **argv, int *ret_rest, struct err *e)
{
	/* Once for --config, once more so that the command line wins over the file. */
	if (options_parse(o, argc, argv, ret_rest, e) < 0)
		return -1;
	if (o->help || o->version)
		return 0;
	if (*ret_rest < argc && str_equal(argv[*ret_rest], "agent"))
		return 0; /* the driver tells it everything */
	if (options_load(o, SYSCONFDIR "/sriov-migrate.conf", e) < 0)
		return -1;
	return options_parse(o, argc, argv, ret_rest, e);
}

static enum log_level level_of(const struct options *o)
{
	if (o->verbose)
		return LOG_LEVEL_DEBUG;
	return o->quiet ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
}

static int run(struct options *o, int argc, char **argv, struct err *e)
{
	int rest;

	if (parse(o, argc, argv, &rest, e) < 0)
		return -1;
	if (o->help) {
		print_help(argc - rest, argv + rest);
		return STATUS_DONE;
	}
	if (o->version) {
		printf("sriov-migrate %s\n", PACKAGE_VERSION);
		return STATUS_DONE;
	}
	log_init(level_of(o), NULL);
	return run_command(o, argc - rest, argv + rest, e);
}

/* An error that a command did not tell itself. */
static int report_error(const struct options *o, const struct err *e)
{
	static const char *const names[] = {
		[STATUS_FAILED] = "failed",
		[STATUS_USAGE] = "usage",
		[STATUS_REFUSED] = "refused",
		[STATUS_BUSY] = "busy",
	};
	enum status status = status_of(e);
	struct report report;
	struct outcome out;

	outcome_init(&out);
	out.status = status;
	out.name = names[status];
	out.err = *e;
	report_init(&report, o);
	report_outcome(&report, NULL, &out);
	return (int)out.status;
}

/* What is started without stdin, stdout or stderr must not get a wire in their place. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options o;
	struct err e = { 0 };
	int status;

	fill_standard_fds();
	/* Who ignores it hands that down, and how the agents ended could not be told. */
	signal(SIGCHLD, SIG_DFL);
	unsetenv("POSIXLY_CORRECT"); /* options stand anywhere, whoever calls */
	options_init(&o);
	status = run(&o, argc, argv, &e);
	if (status < 0)
		status = report_error(&o, &e);
	options_free(&o);
	/* What was done is done: a reader that has gone away does not change the status. */
	if (fflush(stdout) == EOF || say_has_lost())
		say(STDERR_FILENO, "warning: the result could not be written\n");
	return status;
}
