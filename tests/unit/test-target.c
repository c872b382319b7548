/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "core/target.h"
#include "tap.h"
#include "util/mem.h"
#include "util/str.h"

static struct options options;

static void target_is(const char *host, const char *uri, const char *ssh, const char *port)
{
	struct target t = { 0 };
	struct err e = { 0 };
	const char *destination = NULL, *got_port = NULL;
	bool right;

	if (target_parse(host, &options, &t, &e) < 0) {
		tap_result(uri == NULL, "\"%s\" is %s", host, uri ? uri : "refused");
		printf("# %s\n", e.msg);
		ok(e.kind == ERR_USAGE, "as a usage error");
		return;
	}
	for (size_t i = 0; i + 1 < t.n_argv && t.argv[i]; i++) {
		if (str_starts(t.argv[i], "-p"))
			got_port = t.argv[i] + 2;
		if (str_equal(t.argv[i], "--"))
			destination = t.argv[i + 1];
	}
	right = uri && str_equal(t.dest_uri, uri) && str_equal(destination, ssh) &&
		str_equal(got_port, port);
	if (!tap_result(right, "\"%s\" is %s, ssh to %s", host, uri ? uri : "refused",
		    ssh ? ssh : "-"))
		printf("# it is %s, ssh to %s, port %s\n", t.dest_uri,
			destination ? destination : "-", got_port ? got_port : "-");
	target_free(&t);
}

static void test_argv(void)
{
	struct target t = { 0 };
	bool ends = false, batch = false, own = false;
	struct err e;

	ok(target_parse("host-b", &options, &t, &e) == 0, "a plain name");
	for (size_t i = 0; i < t.n_argv; i++) {
		own = own || str_equal(t.argv[i], "-oControlPath=none");
		batch = batch || str_equal(t.argv[i], "-oBatchMode=yes");
		ends = t.argv[i] == NULL;
	}
	is_text(t.argv[0], "ssh", "goes by ssh");
	ok(batch, "which must not ask");
	ok(own, "nor share a connection whose end it would not see");
	ok(ends, "and the words end");
	target_free(&t);
}

int main(void)
{
	options_init(&options);
	target_is("host-b", "qemu+ssh://host-b/system", "host-b", NULL);
	target_is("root@host-b.example.com", "qemu+ssh://root@host-b.example.com/system",
		"root@host-b.example.com", NULL);
	target_is("192.0.2.1", "qemu+ssh://192.0.2.1/system", "192.0.2.1", NULL);
	target_is("2001:db8::1", "qemu+ssh://[2001:db8::1]/system", "2001:db8::1", NULL);
	target_is("root@2001:db8::1", "qemu+ssh://root@[2001:db8::1]/system", "root@2001:db8::1",
		NULL);
	target_is("qemu+ssh://host-b/system", "qemu+ssh://host-b/system", "host-b", NULL);
	target_is("qemu+ssh://root@host-b:2222/system", "qemu+ssh://root@host-b:2222/system",
		"root@host-b", "2222");
	target_is("qemu+ssh://[2001:db8::1]:22/system", "qemu+ssh://[2001:db8::1]:22/system",
		"2001:db8::1", "22");
	target_is("qemu+ssh://root@[2001:db8::1]/system?keyfile=/k",
		"qemu+ssh://root@[2001:db8::1]/system?keyfile=/k", "root@2001:db8::1", NULL);
	target_is("", NULL, NULL, NULL);
	target_is("-oProxyCommand=reboot", NULL, NULL, NULL);
	target_is("host b", NULL, NULL, NULL);
	target_is("host;reboot", NULL, NULL, NULL);
	target_is("$(reboot)", NULL, NULL, NULL);
	target_is("a/b", NULL, NULL, NULL);
	target_is("qemu+ssh:///system", NULL, NULL, NULL);
	target_is("qemu+ssh://-x/system", NULL, NULL, NULL);
	target_is("qemu+ssh://host:port/system", NULL, NULL, NULL);
	target_is("qemu+ssh://host:99999/system", NULL, NULL, NULL);
	target_is("qemu+tls://host/system", NULL, NULL, NULL);
	target_is("qemu+tcp://host/system", NULL, NULL, NULL);
	target_is("://", NULL, NULL, NULL);
	target_is("ssh://host:22", NULL, NULL, NULL);
	options.agent_host = str_dup("root@agent");
	target_is("qemu+tls://host/system", "qemu+tls://host/system", "root@agent", NULL);
	target_is("host-b", "qemu+ssh://host-b/system", "root@agent", NULL);
	target_is("ssh://host", NULL, NULL, NULL);
	str_set(&options.agent_host, "-oProxyCommand=x");
	target_is("qemu+tls://host/system", NULL, NULL, NULL);
	str_set(&options.agent_host, NULL);
	test_argv();
	options_free(&options);
	return tap_done();
}
