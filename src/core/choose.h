/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choosing for one pair on one host: the bridge and the uplink of its standby, and a free VF. Part
 * of the plan, and pure as that is: what stands against it is noted as a problem.
 */
#ifndef CORE_CHOOSE_H
#define CORE_CHOOSE_H

#include "core/check.h"

/*
 * Fills in where V's pair has its standby on V's host: bridge, uplink, PF and rule; in V as well.
 * NAMES: the value of the option OPTION, which names uplinks; NULL: not given. False when
 * something is missing there; V has no uplink then.
 */
bool choose_place(struct check_view *v, const char *names, const char *option,
	struct pair_order *o);

/*
 * Fills in VF address and number; false when there is a problem. TAKEN: the order so far, for the
 * VFs of other pairs. WANTED: the VF that is asked for by name, or NULL. PRIMARY: how it is given
 * (may be NULL). LIKE: its number on the source. Where V has no uplink only a network of VFs and a
 * name are looked at.
 */
bool choose_vf(struct check_view *v, const struct order *taken, const char *wanted,
	const struct xml_primary *primary, int64_t like, struct pair_order *o);

/* The pair's VF is known, however it was found: what can be said of it. */
void choose_note_vf(struct check_view *v, const struct vf_fact *vf, const struct pf_fact *pf,
	struct pair_order *o);

#endif
