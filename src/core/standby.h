/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The standby's link, and its whole path: the link, the bridge's entry that leads to its tap
 * (tap.h), and the entry that lets frames for the guest in by the uplink (uplink.h). Each function
 * reads back what it changed and may be repeated. I is the pair's place in the order.
 */
#ifndef CORE_STANDBY_H
#define CORE_STANDBY_H

#include "core/end.h"

int standby_link_up(struct end *end, size_t i, struct err *e);
/* As it rests: once the primary is proved, or where it was never taken. */
int standby_link_rest(struct end *end, size_t i, struct err *e);

/* All three, each whatever becomes of the others: whatever comes next, the standby carries the guest. */
int standby_path_up(struct end *end, size_t i, struct err *e);
/* The same where nothing else can be done about it: what fails is logged as well. */
int standby_path_up_or_warn(struct end *end, size_t i, struct err *e);
/*
 * Out of the way of a VF that is to hear, where the NIC's rule asks for it: the uplink's entry goes (a macvtap rests),
 * and with it the tap's on a bridge that keeps the MAC on the uplink's list as long as it has that one.
 */
enum standby_yield {
	YIELD_BEFORE_ATTACH, /* NIC_DROP_FIRST: until its driver has the VF the guest has no path */
	YIELD_WHEN_DRIVEN,   /* NIC_UPLINK_WINS */
};
int standby_path_yield(struct end *end, size_t i, enum standby_yield when, struct err *e);
/* Takes that back as far as can be done now: what fails is found by who makes the path whole. */
void standby_path_unyield(struct end *end, size_t i);

/*
 * The VF has left the guest, whoever took it: the standby carries it from now on. What fails is logged; the
 * caller puts it into the journal.
 */
void standby_stand_in(struct end *end, size_t i);
/*
 * The path's standby_path_up_or_warn for every pair, or for those that have no proved VF, but not where the guest can be seen to drive
 * its VF; what fails is logged as well.
 */
int standby_carry_all(struct end *end, bool only_unproved, struct err *e);

#endif
