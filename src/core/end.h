/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of a migration, inside an agent: its order, what it has found and done so far, and
 * the tools to go on. The steps (steps.h) work on it, and whoever settles (act.h), watches (late.h) or
 * carries a guest in need (requests.c) with their functions; nobody else changes anything on a host.
 */
#ifndef CORE_END_H
#define CORE_END_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/order.h"
#include "net/fdb.h"
#include "net/nl.h"
#include "util/cancel.h"
#include "util/err.h"
#include "util/hwaddr.h"
#include "virt/virt.h"

struct lock;
struct step;
struct xml_pair;
struct xml_pair_list;

enum { END_STEPS_MAX = 20 };

/* A bridge entry for the pair's MAC that ours took the place of. */
struct found_entry {
	int64_t port, bridge, vlan;
	bool local, sticky;
};

/*
 * What this end found before it changed a pair, and what it did to it. The journal keeps it, each member
 * under its own name (or an older one), but for what stands behind the line; `begun` has lines of its own there.
 */
struct pair_state {
	struct found_entry *found; /* owned */
	size_t n_found;
	bool groups_opened; /* the tap gets all multicast, see tap.c */
	bool self_added;    /* our entry is on the uplink; false if it was there before */
	int64_t self_port;  /* ifindex of that, which may have another name by now; 0: not noted */
	char *left_uplink;  /* owned; our entry is on this one as well, see mark.h; NULL: none */
	int64_t left_port;  /* as self_port */
	bool refused; /* nothing comes by the uplink all the same: the NIC refused, or it is down */
	bool unproved; /* no VF is proved: it was taken away, or its proof is due */
	bool given;    /* a VF was attached for it, and not seen to be used yet */
	/* clock_ms() of this boot: */
	int64_t unplug_asked; /* when the guest was last asked for its VF, 0: no request is open */
	int64_t unplug_until; /* how long it may still answer */
	int64_t vf_failed_at; /* when a VF was last given in vain, 0: never */
	int64_t vf_tries; /* how often; one that cost the guest its network counts for several */
	bool attr_noted;  /* what the VF had before, see attr.h: */
	struct vf_attr attr_found;
	int64_t attr_pf, attr_vf; /* ifindex and number: which VF that is */
	bool had_mac;             /* the guest's, before the guest had the VF */
	/* ---- */
	bool asked;                /* the NIC for the MAC on the uplink, while no VF had it */
	bool tap_closed;           /* nothing comes by the tap, as was seen last */
	unsigned int attr_told;    /* kinds of attributes that were warned of, as bits */
	const char *evidence;      /* what proved that the guest drives the VF */
	struct lock *vf_lock;      /* owned */
	struct lock *room_lock;    /* owned; keeps room on the uplink */
	bool begun[END_STEPS_MAX]; /* by place in the step table, see end_begun */
};

struct journal;
struct journal_content;

struct end {
	struct virt *virt;     /* borrowed */
	struct nl *nl;         /* borrowed */
	struct cancel *cancel; /* borrowed; of the request that runs */
	/* Tells the driver something while a step runs; takes the reference. */
	void (*tell)(void *arg, const char *event, json_t *data);
	void *tell_arg;
	int stop_fd; /* borrowed; readable: this process is to end; -1: none */

	bool open; /* an order is being carried out */
	struct order order;
	struct pair_state *pairs; /* owned; one for each pair of the order */
	struct lock *domain_lock; /* owned */
	struct journal *journal;  /* owned */
	bool same_boot;       /* since the order was given; what is of another one is forgotten */
	bool patient;         /* nobody asked for it: what failed is not tried again at once */
	bool alone;           /* the other host is not in sight as it is settled */
	bool autostart_there; /* source: the domain has it on the destination */
	bool has_left;   /* source: … and has left here, as seen before anything was undone */
	bool guest_gone; /* it ended by itself: what is undone is not done for it any more */
	atomic_bool switching;     /* the source's libvirt has stopped the guest to switch over */
	bool turned_before;        /* source: see end_note_turned_before */
	bool source_knows;         /* destination: see end_note_source_knows */
	bool autostart_given;      /* destination: it has taken it over */
	bool begun[END_STEPS_MAX]; /* as in pair_state, for the domain's part of a step */
};

/* Takes over a decoded order (emptied), locks its domain and begins a journal. */
int end_open(struct end *end, struct order *order, struct err *e);
/*
 * Takes up what an agent that is dead has left in the domain's journal: its order and how far
 * it had come. ERR_NOT_FOUND without a journal, ERR_BUSY while that agent lives.
 */
int end_reopen(struct end *end, const char *uuid, const char *owner, struct err *e);
/*
 * The part of it that touches nothing: END becomes what CONTENT, the journal of the domain UUID,
 * tells. Whatever that is, an end that is open afterwards has a complete order; close it also
 * after an error.
 */
int end_take_up(struct end *end, const char *uuid, const struct journal_content *content,
	struct err *e);
/*
 * Those of a journal's lines that no later one makes void, in their order; what they tell is the same. New
 * reference.
 */
json_t *end_needed_lines(const json_t *lines);
/* A journal that has grown long is written anew with those. */
void end_shorten_journal(struct end *end);
/* Gives locks back and forgets the order; the journal too, unless something is left to do. */
void end_close(struct end *end, bool settled);
/* Nothing is left to do. An error where the journal cannot be removed: whoever finds it does all that once more. */
int end_finish(struct end *end, struct err *e);

/*
 * Whether STEP is begun for pair I, or for the domain (END_DOMAIN), and so has something to undo. In
 * memory alone: end_note puts it into the journal.
 */
enum { END_DOMAIN = -1 };
bool *end_begun(struct end *end, const struct step *step, int i);
/* The same, to look at; by the step's name (steps.h). */
bool end_has_begun(const struct end *end, const char *step, int i);

/*
 * Puts into the journal, before it is done, that STEP is begun for pair I (or for the domain: I
 * is END_DOMAIN), or after it was undone, that it is not. The pair's state goes with it.
 */
int end_note(struct end *end, const char *step, int i, bool begun, struct err *e);
/* The pair's state alone has changed. */
int end_note_state(struct end *end, size_t i, struct err *e);
/*
 * The same for what a guest without its VF needs to be reached: a journal that cannot be written is
 * no reason to leave it cut off, and warned of.
 */
int end_note_state_of_need(struct end *end, size_t i, struct err *e);

/* For what waits long without a driver. */
bool end_is_told_to_stop(const struct end *end);
/* What it was told so far has been heeded. */
void end_clear_stop(const struct end *end);

/* The source has stopped the guest: told from whichever thread, by libvirt or by the driver. */
void end_set_switching(struct end *end);
/*
 * Into the journal: from here on the guest may have been started on the destination (ON), or it
 * has been decided, with that host in sight, that it was not.
 */
int end_note_switching(struct end *end, bool on, struct err *e);
bool end_is_switching(const struct end *end);
/* Both at once, where it is news; a journal that cannot be written is warned of. */
void end_mark_switching(struct end *end);
/*
 * Source: libvirt says already now, as the move begins, what it says of a guest that it has stopped for a
 * switch-over and started again: that was an earlier one.
 */
int end_note_turned_before(struct end *end, struct err *e);
/*
 * Destination: the source has been seen to have let the guest go, so that nothing need be remembered for
 * its sake (arrived.h).
 */
int end_note_source_knows(struct end *end, struct err *e);
/* Destination: the domain has its autostart, which is the operator's affair from now on. */
int end_note_autostart_given(struct end *end, struct err *e);
/* Destination: the domain has come, so that the move counts as begun, and has something to undo. */
int end_note_arrived(struct end *end, struct err *e);
/* Whether the move was begun. */
bool end_was_moved(const struct end *end);

int end_pair_mac(const struct end *end, size_t i, struct mac *ret, struct err *e);
/* The domain of the order; ERR_NOT_FOUND. */
int end_domain(struct end *end, struct virt_domain **ret, struct err *e);
/* The domain's live XML; caller frees. ERR_NOT_FOUND when it does not run. */
int end_live_xml(struct end *end, char **ret, struct err *e);
/*
 * Pair I as the live definition has it, inside *LIST, which the caller frees; NULL: its standby is
 * not there. ERR_NOT_FOUND when the domain does not run.
 */
int end_live_pair(struct end *end, size_t i, struct xml_pair_list *list,
	const struct xml_pair **ret, struct err *e);
/*
 * Whether the domain runs here without pair I: somebody has taken it out of the definition and started the guest
 * anew, with neither that standby nor that MAC. False also where nobody could say.
 */
bool end_pair_was_taken_out(struct end *end, size_t i);

#endif
