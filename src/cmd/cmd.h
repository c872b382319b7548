/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands, all of this shape: one file each, but "check" is a migration that ends early. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "core/options.h"
#include "core/report.h"
#include "util/err.h"

/*
 * ARGV: what stands behind the command's name, options taken out. Returns the exit status when
 * the command itself has said what there is to say; or -1 and E, which main prints.
 */
typedef int cmd_fn(const struct options *o, int argc, char **argv, struct err *e);

struct cmd {
	const char *name;
	const char *arguments;
	const char *help;
	int min_arguments, max_arguments;
	cmd_fn *fn;
};

/*
 * In the environment of the recover that an agent runs by itself: like one without names, it does
 * not try at once what has just failed.
 */
#define CMD_UNATTENDED "SRIOV_MIGRATE_UNATTENDED"

cmd_fn cmd_migrate, cmd_check, cmd_reattach, cmd_recover, cmd_agent;

#endif
