/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two hosts of a run as the driver holds them: the order and the agent of each, and who
 * goes on in the place of an agent that was lost.
 */
#ifndef CORE_SIDES_H
#define CORE_SIDES_H

#include <stdbool.h>

#include "core/driver.h"
#include "core/order.h"
#include "core/settle.h"
#include "core/steps.h"

enum { SOURCE, DESTINATION };

struct sides {
	struct driver *d;             /* borrowed */
	const struct order *order[2]; /* borrowed; by SOURCE, DESTINATION */
	struct client *agents[2];     /* borrowed; NULL: has no part */
	bool ordered[2];              /* an agent there has been given the order … */
	bool opened[2];               /* … and the present one carries it out */
	bool unsettled[2]; /* something is left to do there: its journal stays, for recover */
	int n_orders
		[2]; /* how often an agent there was given it, and did not find it in a journal */
	bool kept
		[2]; /* whoever was lost there holds the domain still: nobody takes its place in this run */
	bool source_left;    /* the source was seen to have let the guest go … */
	bool told_there;     /* … and the destination knows */
	bool replaced_there; /* the destination's was lost once */
	bool gone_there; /* the guest is not on the destination any more, where it had come … */
	bool moved_on;   /* … and was migrated on from there */
	bool not_ready;  /* the destination could not do its half of a step that has two */
};

/* The host's name, for messages. */
const char *sides_host(const struct sides *s, int side);

/* Whether the host has something to do in STEP. */
bool sides_have_part(const struct sides *s, const struct step *step, int side);

/* Gives the order to the agent; also to one whose predecessor has settled its end by itself. */
int sides_open(struct sides *s, int side, struct err *e);

/*
 * Another agent takes a lost one's place and goes on from its journal. Where there is no
 * journal any more, the lost one has settled its end by itself: the new one is not "opened".
 */
int sides_revive(struct sides *s, int side, struct err *e);
/* Whether a lost one has done so, as was found when the guest was not there any more. */
bool sides_is_settled(const struct sides *s, int side);
/* Both, as far as it can be done. */
void sides_revive_both(struct sides *s);

/* Behind the move: whoever has a part in STEP has an agent, and that agent an order. */
int sides_make_ready(struct sides *s, const struct step *step, struct err *e);

/* Has one agent do something with the domain as a whole: see act.h. */
int sides_act(struct sides *s, int side, const char *what, struct err *e);

/* Has an agent with an order carry out V, as it would by itself: see act_settle. */
int sides_settle(struct sides *s, int side, enum settle_verdict v, struct err *e);

/* Ends both orders. The journal goes where nothing is left to do; an error where one is still there. */
int sides_close(struct sides *s, struct err *e);
/* Left alone, each agent goes on waiting and settles its own end. */
void sides_leave(struct sides *s);

#endif
