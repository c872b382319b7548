/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The move itself, and what concerns the domain as a whole rather than one of its pairs. */
#ifndef CORE_MOVE_H
#define CORE_MOVE_H

#include "core/end.h"

/* The longest that a migration without --timeout may take. */
enum { MOVE_LIMIT_MS = 24 * 3600 * 1000 };

/*
 * libvirt's live migration; tells "progress" and "switching". What it returns decides nothing
 * (settle.h).
 */
int domain_migrate(struct end *end, struct err *e);
/* Its undo, once it has been decided that the guest stays on the source. */
int domain_stays(struct end *end, struct err *e);

/*
 * Source: whether the guest was stopped for the switch-over since the move began, and so may have been
 * started on the destination, be it that libvirt alone has seen it (all agents were dead).
 */
bool move_was_switched(const struct end *end);
/* Source: whether it runs here because libvirt has started it again behind that; somebody's virsh resume is no such thing. */
bool move_was_turned_back(const struct end *end);

/*
 * Destination: where the guest lives here, that is remembered for a source that could not be seen, see
 * arrived.h.
 */
int move_note_arrival(struct end *end, struct err *e);

/* Makes sure that the persistent definition names the VFs of the order. */
int definition_verify(struct end *end, struct err *e);

/* Destination: as it was on the source. */
int autostart_take_over(struct end *end, struct err *e);
/* Source: off, or a rebooted source starts a second copy. */
int autostart_clear(struct end *end, struct err *e);
/* Not for a domain that has left, and has it on the destination. */
int autostart_restore(struct end *end, struct err *e);
/* Source: whether the guest has left, as far as is known here. */
bool move_has_left(struct end *end);

#endif
