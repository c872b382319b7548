/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <iniparser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/mem.h"
#include "util/str.h"

enum { FIRST_LONG_ONLY = 1000, MAX_COUNT = 1000000, MAX_SECONDS = 86400 };

#define OPT(member) offsetof(struct options, member)

const struct option_desc option_table[] = {
	{ "dry-run", 'n', OPTION_FLAG, OPT(dry_run), NULL, NULL, "show the plan and change nothing",
		NULL },
	{ "json", 'j', OPTION_FLAG, OPT(json), NULL, NULL,
		"events and result on stdout, one JSON object a line", NULL },
	{ "quiet", 'q', OPTION_FLAG, OPT(quiet), NULL, NULL, "say only what went wrong", NULL },
	{ "verbose", 'v', OPTION_FLAG, OPT(verbose), NULL, NULL, "show each effect on either host",
		NULL },
	{ "config", 'c', OPTION_TEXT, OPT(config), NULL, "FILE", "read this configuration file",
		NULL },

	{ "fenced", 0, OPTION_FLAG, OPT(fenced), NULL, NULL,
		"of recover: a host that does not answer is known to be off", NULL },

	{ "strict", 0, OPTION_FLAG, OPT(strict), "migration", NULL,
		"refuse what is else only warned of", NULL },
	{ "client-driven", 0, OPTION_FLAG, OPT(client_driven), "migration", NULL,
		"drive the migration from this program, not from the source's libvirt", NULL },
	{ "unplug", 0, OPTION_CHOICE, OPT(unplug), "migration", "PROGRAM|QEMU",
		"who takes the VF from the guest", "program" },
	{ "undefine-source", 0, OPTION_FLAG, OPT(undefine_source), "migration", NULL,
		"remove the domain's definition from the source afterwards", NULL },
	{ "bandwidth", 0, OPTION_COUNT, OPT(bandwidth), "migration", "MIB",
		"limit the migration to MIB a second", NULL },
	{ "auto-converge", 0, OPTION_FLAG, OPT(auto_converge), "migration", NULL,
		"slow the guest down if it writes too fast", NULL },
	{ "compressed", 0, OPTION_FLAG, OPT(compressed), "migration", NULL, "compress memory",
		NULL },
	{ "parallel", 0, OPTION_COUNT, OPT(parallel), "migration", "N", "use N connections", NULL },
	{ "tls", 0, OPTION_FLAG, OPT(tls), "migration", NULL, "encrypt the migration stream",
		NULL },
	{ "copy-storage-all", 0, OPTION_FLAG, OPT(copy_storage_all), "migration", NULL,
		"copy disks that are not shared", NULL },
	{ "copy-storage-inc", 0, OPTION_FLAG, OPT(copy_storage_inc), "migration", NULL,
		"copy only the top layer of such disks", NULL },
	{ "unsafe", 0, OPTION_FLAG, OPT(unsafe), "migration", NULL,
		"migrate although libvirt thinks that disks could be damaged", NULL },
	{ "migrate-uri", 0, OPTION_TEXT, OPT(migrate_uri), "migration", "URI",
		"where the destination's QEMU listens", NULL },
	{ "timeout", 0, OPTION_SECONDS, OPT(timeout_ms), "migration", "SECONDS",
		"give up a migration that takes longer, and roll back", NULL },
	{ "reattach-retries", 0, OPTION_COUNT_OR_0, OPT(reattach_retries), "migration", "N",
		"try N more times to give the guest its new VF", "1" },

	{ "agent-host", 0, OPTION_TEXT, OPT(agent_host), "hosts", "HOST",
		"ssh destination of the agent when HOST is a libvirt URI", NULL },
	{ "agent-path", 0, OPTION_TEXT, OPT(agent_path), "hosts", "PATH",
		"sriov-migrate on the other host", NULL },
	{ "libvirt-uri", 0, OPTION_TEXT, OPT(libvirt_uri), "hosts", "URI",
		"libvirt of each host, seen from there (qemu:///system)", NULL },
	{ "source-uplink", 0, OPTION_TEXT, OPT(source_uplink), "hosts", "DEV,...",
		"which ports are uplinks, where a bridge here has several", NULL },
	{ "destination-uplink", 0, OPTION_TEXT, OPT(destination_uplink), "hosts", "DEV,...",
		"the same on the destination", NULL },
	{ "vf", 0, OPTION_TEXT, OPT(vf), "hosts", "ADDRESS,...",
		"VFs to use on the destination, in the order of the pairs", NULL },

	{ "detach-timeout", 0, OPTION_SECONDS, OPT(detach_ms), "limits", "SECONDS",
		"for the guest to give up its VF", "60" },
	{ "proof-timeout", 0, OPTION_SECONDS, OPT(proof_ms), "limits", "SECONDS",
		"for the guest to use its new VF", "60" },
	{ "carrier-timeout", 0, OPTION_SECONDS, OPT(carrier_ms), "limits", "SECONDS",
		"for the guest's traffic to leave the standby", "5" },
	{ "connect-timeout", 0, OPTION_SECONDS, OPT(connect_ms), "limits", "SECONDS",
		"for ssh to connect", "10" },
	{ "request-timeout", 0, OPTION_SECONDS, OPT(request_ms), "limits", "SECONDS",
		"for an agent to answer, beyond the limits above", "120" },
	{ "settle-timeout", 0, OPTION_SECONDS, OPT(settle_ms), "limits", "SECONDS",
		"for hosts that are cut off or busy, before the outcome is called unknown", "60" },
	{ "unplug-watch", 0, OPTION_SECONDS, OPT(watch_ms), "limits", "SECONDS",
		"to watch for a guest that gives up its VF too late", "300" },

	{ "help", 'h', OPTION_FLAG, OPT(help), NULL, NULL, "show this text", NULL },
	{ "version", 'V', OPTION_FLAG, OPT(version), NULL, NULL, "show the version", NULL },
};

const size_t n_options = ARRAY_SIZE(option_table);

static void *member(struct options *o, const struct option_desc *d)
{
	return (char *)o + d->offset;
}

void options_free(struct options *o)
{
	for (size_t i = 0; i < n_options; i++)
		if (option_table[i].type == OPTION_TEXT)
			free(*(char **)member(o, &option_table[i]));
	*o = (struct options){ 0 };
}

static int parse_flag(const char *value, bool *ret)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcasecmp(value, yes[i]) != 0 && strcasecmp(value, no[i]) != 0)
			continue;
		*ret = strcasecmp(value, yes[i]) == 0;
		return 0;
	}
	return -1;
}

/* The place of VALUE among WORDS, which are separated by bars; capitals make no difference. */
static int parse_choice(const char *words, const char *value, int64_t *ret)
{
	for (int64_t i = 0;; i++) {
		size_t n = strcspn(words, "|");

		if (strlen(value) == n && strncasecmp(words, value, n) == 0) {
			*ret = i;
			return 0;
		}
		if (!words[n])
			return -1;
		words += n + 1;
	}
}

/* Sets an option from text; WHAT names it in an error. */
static int set_option(struct options *o, const struct option_desc *d, const char *value,
	const char *what, struct err *e)
{
	uint64_t min = d->type == OPTION_COUNT_OR_0 ? 0 : 1, number;

	switch (d->type) {
	case OPTION_FLAG:
		if (parse_flag(value, member(o, d)) < 0)
			return err_set_kind(e, ERR_USAGE, "%s: \"%s\" is neither yes nor no", what,
				value);
		return 0;
	case OPTION_CHOICE:
		if (parse_choice(d->argument, value, member(o, d)) < 0)
			return err_set_kind(e, ERR_USAGE, "%s: \"%s\" is none of %s", what, value,
				d->argument);
		return 0;
	case OPTION_TEXT:
		if (!*value)
			return err_set_kind(e, ERR_USAGE, "%s: an empty value", what);
		str_set(member(o, d), value);
		return 0;
	case OPTION_SECONDS:
		if (str_parse_seconds(value, MAX_SECONDS, member(o, d)) < 0)
			return err_set_kind(e, ERR_USAGE,
				"%s: \"%s\" is no number of seconds from 0.001 to %d", what, value,
				MAX_SECONDS);
		return 0;
	case OPTION_COUNT:
	case OPTION_COUNT_OR_0:
		if (str_parse_uint(value, MAX_COUNT, &number) < 0 || number < min)
			return err_set_kind(e, ERR_USAGE, "%s: \"%s\" is no number from %d to %d",
				what, value, (int)min, MAX_COUNT);
		*(int64_t *)member(o, d) = (int64_t)number;
		return 0;
	}
	return 0;
}

void options_init(struct options *o)
{
	struct err e;

	*o = (struct options){ 0 };
	for (size_t i = 0; i < n_options; i++) {
		const struct option_desc *d = &option_table[i];

		if (d->preset && set_option(o, d, d->preset, d->name, &e) < 0)
			abort();
	}
}

static void fill_getopt(struct option *longs, char *shorts)
{
	size_t n = 0;

	shorts[n++] = ':';
	for (size_t i = 0; i < n_options; i++) {
		const struct option_desc *d = &option_table[i];

		longs[i] = (struct option){
			.name = d->name,
			.has_arg = d->type == OPTION_FLAG ? no_argument : required_argument,
			.val = FIRST_LONG_ONLY + (int)i,
		};
		if (!d->letter)
			continue;
		shorts[n++] = d->letter;
		if (d->type != OPTION_FLAG)
			shorts[n++] = ':';
	}
	shorts[n] = '\0';
}

static const struct option_desc *by_value(int value)
{
	if (value >= FIRST_LONG_ONLY)
		return &option_table[value - FIRST_LONG_ONLY];
	for (size_t i = 0; i < n_options; i++)
		if (option_table[i].letter == value)
			return &option_table[i];
	return NULL;
}

static int usage_error(int c, char **argv, struct err *e)
{
	const char *why = c == ':' ? "needs a value" : "is unknown";

	if (optopt >= FIRST_LONG_ONLY && c == '?')
		err_set_kind(e, ERR_USAGE, "option --%s takes no value", by_value(optopt)->name);
	else if (optopt > 0 && optopt < FIRST_LONG_ONLY)
		err_set_kind(e, ERR_USAGE, "option -%c %s", optopt, why);
	else
		err_set_kind(e, ERR_USAGE, "option %s %s", argv[optind - 1], why);
	return err_hint(e, "See sriov-migrate --help.");
}

int options_parse(struct options *o, int argc, char **argv, int *ret_rest, struct err *e)
{
	struct option longs[ARRAY_SIZE(option_table) + 1] = { 0 };
	char shorts[2 * ARRAY_SIZE(option_table) + 2];
	int c;

	/* Options may stand anywhere, as in GNU programs; "--" ends them. */
	fill_getopt(longs, shorts);
	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_desc *d;
		char what[64];

		if (c == ':' || c == '?')
			return usage_error(c, argv, e);
		d = by_value(c);
		snprintf(what, sizeof(what), "--%s", d->name);
		if (set_option(o, d, d->type == OPTION_FLAG ? "yes" : optarg, what, e) < 0)
			return -1;
	}
	*ret_rest = optind;
	return 0;
}

/* ---- file ---- */

enum { LINE_MAX_LENGTH = 1000 }; /* iniparser reads 1024 bytes at once */

/*
 * The file is read twice: first line by line, because iniparser tells no line numbers and passes
 * over in silence what it does not understand, then by iniparser, for the values.
 */
struct scan {
	const char *file; /* borrowed */
	int line;
	char section[32];                    /* "": none yet */
	int found[ARRAY_SIZE(option_table)]; /* line in which each option is set, 0: nowhere */
};

__attribute__((format(printf, 3, 4))) static int wrong_line(const struct scan *s, struct err *e,
	const char *fmt, ...)
{
	CLEANUP_FREE char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = str_vprintf(fmt, ap);
	va_end(ap);
	return err_set_kind(e, ERR_USAGE, "%s, line %d: %s", s->file, s->line, what);
}

static bool section_exists(const char *name)
{
	for (size_t i = 0; i < n_options; i++)
		if (option_table[i].section && strcasecmp(option_table[i].section, name) == 0)
			return true;
	return false;
}

/* iniparser folds names to lower case: capitals make no difference. */
static const struct option_desc *find_key(const char *section, const char *key)
{
	for (size_t i = 0; i < n_options; i++)
		if (option_table[i].section && strcasecmp(option_table[i].section, section) == 0 &&
			strcasecmp(option_table[i].name, key) == 0)
			return &option_table[i];
	return NULL;
}

/* Cuts white space off at both ends. */
static char *strip(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len && isspace((unsigned char)s[len - 1]))
		len--;
	s[len] = '\0';
	return s;
}

static int scan_section(struct scan *s, char *line, struct err *e)
{
	char *end = strchr(line, ']'), *name;

	if (!end || end[1])
		return wrong_line(s, e, "a section is a line like [limits]");
	*end = '\0';
	name = strip(line + 1);
	if (!section_exists(name))
		return wrong_line(s, e, "there is no section [%s]", name);
	str_copy(s->section, sizeof(s->section), name);
	return 0;
}

static int scan_key(struct scan *s, char *line, struct err *e)
{
	char *end = strchr(line, '='), *key;
	const struct option_desc *d;

	if (!*s->section)
		return wrong_line(s, e, "a key outside any section");
	if (!end)
		return wrong_line(s, e, "neither a section nor \"key = value\"");
	*end = '\0';
	key = strip(line);
	d = find_key(s->section, key);
	if (!d)
		return wrong_line(s, e, "there is no key \"%s\" in [%s]", key, s->section);
	s->found[d - option_table] = s->line;
	return 0;
}

static int scan_line(struct scan *s, char *text, size_t len, struct err *e)
{
	char *line;

	if (strlen(text) != len)
		return wrong_line(s, e, "a zero byte");
	if (len > LINE_MAX_LENGTH)
		return wrong_line(s, e, "more than %d characters", LINE_MAX_LENGTH);
	line = strip(text);
	/* iniparser would join the next one to it, to a comment as well. */
	if (*line && line[strlen(line) - 1] == '\\')
		return wrong_line(s, e, "a line cannot end with a backslash");
	if (!*line || *line == '#' || *line == ';')
		return 0;
	return *line == '[' ? scan_section(s, line, e) : scan_key(s, line, e);
}

static int scan_file(struct scan *s, struct err *e)
{
	CLEANUP_FREE char *text = NULL;
	FILE *f = fopen(s->file, "re");
	size_t size = 0;
	ssize_t len;
	int r = 0;

	if (!f)
		return err_set_kind(e, ERR_USAGE, "%s cannot be read: %s", s->file,
			strerror(errno));
	while (r == 0 && (len = getline(&text, &size, f)) >= 0) {
		s->line++;
		r = scan_line(s, text, (size_t)len, e);
	}
	fclose(f);
	return r;
}

static int load_values(struct options *o, dictionary *ini, const struct scan *s, struct err *e)
{
	for (size_t i = 0; i < n_options; i++) {
		const struct option_desc *d = &option_table[i];
		CLEANUP_FREE char *name = NULL;
		CLEANUP_FREE char *what = NULL;

		if (!s->found[i])
			continue;
		name = str_printf("%s:%s", d->section, d->name);
		what = str_printf("%s, line %d: %s", s->file, s->found[i], d->name);
		if (set_option(o, d, iniparser_getstring(ini, name, ""), what, e) < 0)
			return -1;
	}
	return 0;
}

/* Lines iniparser cannot read are told to this callback, and to nobody else. */
static char ini_complaint[256];

__attribute__((format(printf, 1, 2))) static int note_complaint(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ini_complaint, sizeof(ini_complaint), fmt, ap);
	va_end(ap);
	return 0;
}

static int load_file(struct options *o, const char *file, struct err *e)
{
	struct scan scan = { .file = file };
	dictionary *ini;
	int r = 0;

	if (scan_file(&scan, e) < 0)
		return -1;
	ini_complaint[0] = '\0';
	iniparser_set_error_callback(note_complaint);
	ini = iniparser_load(file);
	iniparser_set_error_callback(NULL);
	if (!ini || ini_complaint[0]) {
		ini_complaint[strcspn(ini_complaint, "\n")] = '\0';
		err_set_kind(e, ERR_USAGE, "%s cannot be read: %s", file,
			ini_complaint[0] ? ini_complaint : strerror(errno));
		r = -1;
	}
	if (r == 0)
		r = load_values(o, ini, &scan, e);
	if (ini)
		iniparser_freedict(ini);
	return r;
}

int options_load(struct options *o, const char *default_file, struct err *e)
{
	CLEANUP_FREE char *file = str_dup(o->config ? o->config : default_file);
	struct stat st;

	if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set_kind(e, ERR_USAGE, "configuration file %s is a directory", file);
	if (access(file, R_OK) < 0) {
		if (!o->config && errno == ENOENT)
			return 0;
		err_set_sys(e, errno, "configuration file %s", file);
		e->kind = ERR_USAGE;
		return -1;
	}
	return load_file(o, file, e);
}

/* ---- all together ---- */

/* QEMU's multifd-channels is a byte. */
enum { MAX_PARALLEL = 255 };

/* As qemuMigrationDstPrepareDirect takes them (libvirt's src/qemu/qemu_migration.c). */
static bool is_migrate_uri(const char *uri)
{
	static const char *const schemes[] = { "tcp:", "rdma:", "unix:" };

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (str_starts(uri, schemes[i]))
			return true;
	return false;
}

int options_check(const struct options *o, struct err *e)
{
	if (o->parallel > MAX_PARALLEL)
		return err_set_kind(e, ERR_USAGE, "parallel: QEMU has at most %d connections",
			MAX_PARALLEL);
	if (o->parallel && o->compressed)
		return err_set_kind(e, ERR_USAGE,
			"parallel and compressed exclude each other in libvirt");
	if (o->copy_storage_all && o->copy_storage_inc)
		return err_set_kind(e, ERR_USAGE,
			"copy-storage-all and copy-storage-inc exclude each other");
	if (o->migrate_uri && !is_migrate_uri(o->migrate_uri))
		return err_set_kind(e, ERR_USAGE,
			"migrate-uri: \"%s\" does not begin with tcp:, rdma: or unix:",
			o->migrate_uri);
	return 0;
}

/* ---- help ---- */

void options_print_help(FILE *f)
{
	for (size_t i = 0; i < n_options; i++) {
		const struct option_desc *d = &option_table[i];
		char left[64], letter[8] = "    ";

		if (d->letter)
			snprintf(letter, sizeof(letter), "-%c, ", d->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, d->name, d->argument ? " " : "",
			d->argument ? d->argument : "");
		fprintf(f, "  %-32s %s%s%s%s\n", left, d->help, d->preset ? " (" : "",
			d->preset ? d->preset : "", d->preset ? ")" : "");
	}
}
