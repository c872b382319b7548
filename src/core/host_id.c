/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/host_id.h"

#include <stdio.h>
#include <string.h>

#include "util/mem.h"
#include "util/str.h"

/* The first line, "" where there is none. */
static void read_line(const char *path, char *ret, int size)
{
	FILE *f = fopen(path, "re");

	*ret = '\0';
	if (f && !fgets(ret, size, f))
		*ret = '\0';
	if (f)
		fclose(f);
	ret[strcspn(ret, "\n")] = '\0';
}

char *host_id(const char *libvirt_uuid, const char *hostname)
{
	char board[64], machine[64];

	read_line("/sys/class/dmi/id/product_uuid", board, sizeof(board));
	read_line("/etc/machine-id", machine, sizeof(machine));
	if (!*machine || str_is_same_uuid(board, libvirt_uuid) ||
		str_is_same_uuid(machine, libvirt_uuid))
		return NULL;
	return str_printf("%s %s", machine, hostname);
}

bool host_is_known(const char *uuid, const char *id, const char *known_uuid, const char *known_id)
{
	return str_equal(uuid, known_uuid) || (id && str_equal(id, known_id));
}
