/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The forms in which a domain is given its primary, and all that is different between them: who
 * puts the MAC on the VF, who chooses the VF. The steps are the same for all.
 */
#ifndef CORE_FORM_H
#define CORE_FORM_H

#include <stdbool.h>

#include "xml/pair.h"

struct form {
	const char *name; /* stable: stands in orders, and so in journals */
	const char *text; /* for people */
	/*
	 * libvirt puts the domain's MAC on the VF when it attaches it and takes it off again. For a
	 * plain <hostdev> it does neither (src/hypervisor/virhostdev.c, virHostdevSetNetConfig):
	 * we do.
	 */
	bool libvirt_sets_mac;
	/* libvirt takes a free VF of a network: which one is known only when it is attached. */
	bool libvirt_picks_vf;
};

/* PRIMARY_NONE: the form of a primary that is made anew. */
const struct form *form_of(enum primary_form form);
/* NULL (orders of old) and unknown names: the first form there was. */
const struct form *form_by_name(const char *name);

#endif
