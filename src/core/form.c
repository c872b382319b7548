/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/form.h"

#include <stddef.h>

#include "util/mem.h"
#include "util/str.h"

static const struct form forms[] = {
	[PRIMARY_NONE] = { "interface", "<interface type='hostdev'>", .libvirt_sets_mac = true },
	[PRIMARY_HOSTDEV_NIC] = { "interface", "<interface type='hostdev'>",
		.libvirt_sets_mac = true },
	[PRIMARY_POOL] = { "pool", "<interface type='network'>", .libvirt_sets_mac = true,
		.libvirt_picks_vf = true },
	[PRIMARY_HOSTDEV] = { "hostdev", "<hostdev>", .libvirt_sets_mac = false },
};

const struct form *form_of(enum primary_form form)
{
	return &forms[form];
}

const struct form *form_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (str_equal(forms[i].name, name))
			return &forms[i];
	return &forms[PRIMARY_HOSTDEV_NIC];
}
