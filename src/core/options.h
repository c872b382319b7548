/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything an operator can set. One table (options.c) makes the command line, the
 * configuration file and --help; the command line wins over the file.
 */
#ifndef CORE_OPTIONS_H
#define CORE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/err.h"

/* Who takes the VF from the guest, and gives it one; in the order of the words of --unplug. */
enum unplug_by {
	UNPLUG_BY_PROGRAM, /* libvirt, told by this program: before the migration and after it */
	UNPLUG_BY_QEMU,    /* QEMU itself, as a part of the migration */
};

struct options {
	/* what to do */
	bool dry_run, json, quiet, verbose, help, version;
	bool fenced;  /* the host that does not answer is off */
	char *config; /* NULL: the default file, which may be missing */

	/* how to migrate */
	int64_t unplug; /* enum unplug_by */
	bool client_driven, undefine_source, auto_converge, tls, compressed, unsafe;
	bool copy_storage_all, copy_storage_inc, strict;
	int64_t parallel, bandwidth, reattach_retries;
	int64_t timeout_ms; /* 0: none */
	char *migrate_uri;

	/* where things are */
	char *agent_host, *agent_path, *libvirt_uri;
	char *source_uplink, *destination_uplink, *vf; /* lists, separated by commas */

	int64_t detach_ms, proof_ms, carrier_ms, connect_ms, request_ms;
	int64_t settle_ms, watch_ms;
};

enum option_type {
	OPTION_FLAG,
	OPTION_CHOICE, /* one of the words of its argument, as the place among them */
	OPTION_COUNT,
	OPTION_COUNT_OR_0,
	OPTION_SECONDS,
	OPTION_TEXT,
};

struct option_desc {
	const char *name; /* "--NAME", and the key in the file */
	char letter;      /* 0: none */
	enum option_type type;
	size_t offset;
	const char *section;  /* in the file; NULL: command line only */
	const char *argument; /* as --help names it */
	const char *help;
	const char *preset; /* as --help shows it; NULL: none, 0, no */
};

extern const struct option_desc option_table[];
extern const size_t n_options;

void options_init(struct options *o); /* the defaults */
void options_free(struct options *o);

/*
 * Takes the options out of ARGV; what remains stands from *ret_rest on. -1 with ERR_USAGE for
 * an unknown option or a bad value. Call it again after options_load: the command line wins.
 */
int options_parse(struct options *o, int argc, char **argv, int *ret_rest, struct err *e);

/* Reads o->config, or DEFAULT_FILE if that exists. Errors name file and line. */
int options_load(struct options *o, const char *default_file, struct err *e);

/* Whether those of the migration go together, and libvirt can do what they say; ERR_USAGE. */
int options_check(const struct options *o, struct err *e);

void options_print_help(FILE *f);

#endif
