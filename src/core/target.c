/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/target.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"
#include "util/str.h"

void target_free(struct target *t)
{
	free(t->label);
	free(t->dest_uri);
	for (size_t i = 0; i < t->n_argv; i++)
		free(t->argv[i]);
	free(t->argv);
	*t = (struct target){ 0 };
}

static void add_arg(struct target *t, char *arg)
{
	*(char **)mem_append(&t->argv, &t->n_argv, sizeof(*t->argv)) = arg;
}

/* Characters of host names, addresses and user names; nothing a shell or URI would act on. */
static int check_name(const char *s, const char *what, struct err *e)
{
	if (*s == '-' || !*s)
		return err_set_kind(e, ERR_USAGE, "\"%s\" is no %s", s, what);
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._-@:[]%", *s))
			return err_set_kind(e, ERR_USAGE, "\"%c\" cannot be part of a %s", *s,
				what);
	return 0;
}

static int check_path(const char *path, struct err *e)
{
	if (*path != '/')
		return err_set_kind(e, ERR_USAGE, "agent-path: \"%s\" is no absolute path", path);
	for (const char *s = path; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("/._-+", *s))
			return err_set_kind(e, ERR_USAGE, "agent-path: \"%c\" cannot be part of it",
				*s);
	return 0;
}

static int add_agent_command(struct target *t, const struct options *o, struct err *e)
{
	if (o->agent_path) {
		if (check_path(o->agent_path, e) < 0)
			return -1;
		add_arg(t, str_dup(o->agent_path));
	} else {
		/* A shell that nobody logs in to often lacks the sbin directories. */
		add_arg(t, str_dup("env"));
		add_arg(t, str_dup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
				   "bin"));
		add_arg(t, str_dup("sriov-migrate"));
	}
	add_arg(t, str_dup("agent"));
	return 0;
}

static int fill_ssh(struct target *t, const char *destination, const char *port,
	const struct options *o, struct err *e)
{
	if (check_name(destination, "host", e) < 0)
		return -1;
	add_arg(t, str_dup("ssh"));
	add_arg(t, str_dup("-oBatchMode=yes"));
	/* It takes whole seconds. */
	add_arg(t, str_printf("-oConnectTimeout=%" PRId64, (o->connect_ms + 999) / 1000));
	add_arg(t, str_dup("-oServerAliveInterval=2"));
	add_arg(t, str_dup("-oServerAliveCountMax=5"));
	/* A connection of its own, whose end is seen, for nothing but the agent. */
	add_arg(t, str_dup("-oControlMaster=no"));
	add_arg(t, str_dup("-oControlPath=none"));
	add_arg(t, str_dup("-oClearAllForwardings=yes"));
	add_arg(t, str_dup("-oRemoteCommand=none"));
	add_arg(t, str_dup("-T"));
	if (port)
		add_arg(t, str_printf("-p%s", port));
	add_arg(t, str_dup("--"));
	add_arg(t, str_dup(destination));
	if (add_agent_command(t, o, e) < 0)
		return -1;
	add_arg(t, NULL);
	return 0;
}

/* [user@]host[:port] of a URI, the port apart; brackets around an IPv6 address come off. */
static void split_authority(const char *uri, char **ret_destination, char **ret_port)
{
	const char *start = strstr(uri, "://") + 3, *at, *host;
	size_t len = strcspn(start, "/?");
	char *all = str_dup(start), *port;

	all[len] = '\0';
	at = strchr(all, '@');
	host = at ? at + 1 : all;
	port = *host == '[' ? strchr(host, ']') : strchr(host, ':');
	if (port && *port == ']')
		port = port[1] == ':' ? port + 1 : NULL;
	*ret_port = port ? str_dup(port + 1) : NULL;
	if (port)
		*port = '\0';
	if (*host == '[')
		*ret_destination = str_printf("%.*s%.*s", (int)(host - all), all,
			(int)strcspn(host + 1, "]"), host + 1);
	else
		*ret_destination = str_dup(all);
	free(all);
}

/* For ssh it is a destination; libvirt has no such thing. */
static int refuse_ssh_uri(const char *uri, struct err *e)
{
	const char *host = strstr(uri, "://") + 3;

	return err_set_kind(e, ERR_USAGE,
		"\"%s\" is no URI of libvirt's: write it as qemu+ssh://%.*s/system", uri,
		(int)strcspn(host, "/?"), host);
}

static int parse_uri(const char *uri, const struct options *o, struct target *t, struct err *e)
{
	CLEANUP_FREE char *destination = NULL;
	CLEANUP_FREE char *port = NULL;
	uint64_t number;

	if (str_starts(uri, "ssh://"))
		return refuse_ssh_uri(uri, e);
	t->dest_uri = str_dup(uri);
	if (o->agent_host) {
		t->label = str_dup(o->agent_host);
		return fill_ssh(t, o->agent_host, NULL, o, e);
	}
	if (!str_starts(uri, "qemu+ssh://"))
		return err_set_kind(e, ERR_USAGE,
			"a destination given as \"%s\" needs --agent-host as well", uri);
	split_authority(uri, &destination, &port);
	if (port && str_parse_uint(port, 65535, &number) < 0)
		return err_set_kind(e, ERR_USAGE, "\"%s\" is no port", port);
	t->label = str_dup(destination);
	return fill_ssh(t, destination, port, o, e);
}

/* An IPv6 address needs brackets in a URI. */
static char *uri_of(const char *destination)
{
	const char *at = strchr(destination, '@'), *host = at ? at + 1 : destination;

	if (!strchr(host, ':') || *host == '[')
		return str_printf("qemu+ssh://%s/system", destination);
	return str_printf("qemu+ssh://%.*s[%s]/system", (int)(host - destination), destination,
		host);
}

/* More than one colon is an IPv6 address. */
static bool has_port(const char *host)
{
	const char *colon = strchr(host, ':');

	return colon && !strchr(host, '[') && !strchr(colon + 1, ':');
}

int target_parse(const char *host, const struct options *o, struct target *ret, struct err *e)
{
	struct target t = { 0 };
	int r;

	if (strstr(host, "://")) {
		r = parse_uri(host, o, &t, e);
	} else if (has_port(host)) {
		r = err_set_kind(e, ERR_USAGE,
			"\"%s\": a port needs a URI, as qemu+ssh://%s/system", host, host);
	} else {
		t.label = str_dup(host);
		t.dest_uri = uri_of(host);
		r = fill_ssh(&t, o->agent_host ? o->agent_host : host, NULL, o, e);
	}
	if (r < 0) {
		target_free(&t);
		return -1;
	}
	*ret = t;
	return 0;
}
