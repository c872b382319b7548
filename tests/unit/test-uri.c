/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tap.h"
#include "virt/virt.h"

static void takes(const char *uri)
{
	struct err e;

	ok(virt_check_uri(uri, &e) == 0, "%s", uri ? uri : "none");
}

static void refuses(const char *uri)
{
	struct err e = { 0 };

	ok(virt_check_uri(uri, &e) < 0 && e.kind == ERR_REFUSED, "refused: %s", uri);
}

int main(void)
{
	takes(NULL);
	takes("qemu:///system");
	takes("qemu+ssh://root@host-b:2222/system?keyfile=/root/key&no_verify=1");
	takes("qemu+ssh://host-b/command=x");
	refuses("qemu+ext://host-b/system?command=/tmp/x");
	refuses("qemu+ssh://host-b/system?no_tty=1&Command=/tmp/x");
	refuses("qemu+ssh://host-b/system?no_tty=1;netcat=/tmp/x");
	refuses("qemu+ssh://host-b/system?proxy");
	refuses("qemu+ssh://host-b/system?%63ommand=/tmp/x");
	return tap_done();
}
