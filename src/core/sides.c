/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/sides.h"

#include "agent/record.h"
#include "util/log.h"

const char *sides_host(const struct sides *s, int side)
{
	return client_label(s->agents[side]);
}

bool sides_have_part(const struct sides *s, const struct step *step, int side)
{
	return s->agents[side] && step_concerns(step, s->order[side], side == SOURCE);
}

int sides_open(struct sides *s, int side, struct err *e)
{
	json_t *order;

	if (!s->agents[side])
		return 0;
	order = record_encode(&order_record, s->order[side]);
	if (call_once(&s->d->group, s->agents[side], "open", order, driver_request_ms(s->d), NULL,
		    e) < 0)
		return -1;
	s->ordered[side] = s->opened[side] = true;
	s->n_orders[side]++;
	return 0;
}

static int reopen(struct sides *s, int side, struct err *e)
{
	json_t *args = json_object();

	json_object_set_new(args, "uuid", json_text(s->order[side]->uuid));
	json_object_set_new(args, "owner", json_text(s->d->owner));
	return call_once(&s->d->group, s->agents[side], "reopen", args, driver_request_ms(s->d),
		NULL, e);
}

static int refuse_kept(const struct sides *s, int side, struct err *e)
{
	err_set_kind(e, ERR_BUSY,
		"%s: the agent that was lost holds the domain, and may still settle its end",
		sides_host(s, side));
	return err_hint(e, "It does so by itself; sriov-migrate recover %s there tells.",
		s->order[side]->name);
}

int sides_revive(struct sides *s, int side, struct err *e)
{
	struct client **client = s->agents[side] == s->d->here ? &s->d->here : &s->d->there;
	int got;

	if (!s->agents[side] || !client_is_lost(s->agents[side]))
		return 0;
	s->opened[side] = false;
	if (s->kept[side])
		return refuse_kept(s, side, e);
	log_debug("%s: the agent was lost, starting another", sides_host(s, side));
	got = driver_reconnect(s->d, client, e);
	s->agents[side] = *client;
	s->replaced_there |= side == DESTINATION && s->agents[SOURCE];
	if (got < 0 || !s->ordered[side])
		return got;
	if (reopen(s, side, e) == 0) {
		report_warning(s->d->report, sides_host(s, side),
			"the agent was lost; another one goes on from its journal", NULL);
		s->opened[side] = true;
		return 0;
	}
	if (e->kind == ERR_NOT_FOUND)
		return 0;
	s->kept[side] = e->kind == ERR_BUSY;
	client_give_up(s->agents[side]); /* still lost, as far as this run is concerned */
	return s->kept[side] ? refuse_kept(s, side, e) : -1;
}

bool sides_is_settled(const struct sides *s, int side)
{
	return s->gone_there && s->agents[side] && !client_is_lost(s->agents[side]) &&
	       s->ordered[side] && !s->opened[side] && !s->kept[side];
}

void sides_revive_both(struct sides *s)
{
	for (int side = SOURCE; side <= DESTINATION; side++) {
		struct err e;

		if (sides_revive(s, side, &e) < 0)
			log_debug("%s", e.msg);
	}
}

/*
 * An order is not given anew for a guest that somebody has taken on meanwhile: this run may have stood still
 * for hours, and the agents that it left alone have settled their ends.
 */
static int check_still_there(struct sides *s, struct err *e)
{
	const struct order *o = s->order[DESTINATION];
	struct settle_view view, back;

	driver_look(s->d, s->agents[DESTINATION], o->uuid, NULL, &view);
	if (view.reachable && !settle_view_lives(&view)) {
		driver_look(s->d, s->agents[SOURCE], o->uuid, NULL, &back);
		s->gone_there = true;
		s->moved_on |= view.state == VIRT_MIGRATED || view.state == VIRT_MIGRATING ||
			       (back.reachable && settle_view_lives(&back));
	}
	return !s->gone_there ? 0
			      : err_set(e, "%s is not on %s any more", o->name,
					sides_host(s, DESTINATION));
}

int sides_make_ready(struct sides *s, const struct step *step, struct err *e)
{
	for (int side = SOURCE; side <= DESTINATION; side++) {
		if (!sides_have_part(s, step, side))
			continue;
		if (sides_revive(s, side, e) < 0)
			return -1;
		if (!s->opened[side] && (check_still_there(s, e) < 0 || sides_open(s, side, e) < 0))
			return -1;
	}
	return 0;
}

int sides_act(struct sides *s, int side, const char *what, struct err *e)
{
	json_t *args = json_object();

	json_object_set_new(args, "what", json_string(what));
	return call_once(&s->d->group, s->agents[side], "act", args, driver_request_ms(s->d), NULL,
		e);
}

int sides_settle(struct sides *s, int side, enum settle_verdict v, struct err *e)
{
	json_t *args = json_object();

	json_object_set_new(args, "verdict", json_string(settle_verdict_name(v)));
	return call_once(&s->d->group, s->agents[side], "settle", args,
		driver_step_ms(s->d, s->order[side]->n_pairs), NULL, e);
}

static int close_one(struct sides *s, int side, struct err *e)
{
	const struct client *other = s->agents[1 - side];
	bool alone = other && client_is_lost(other);
	/* What the destination remembers for this one it can be told later only as long as a journal is here. */
	bool untold = side == SOURCE && s->source_left && alone && !s->told_there;
	int r = 0;

	if (s->opened[side])
		r = driver_close_order(s->d, s->agents[side], !s->unsettled[side] && !untold, alone,
			e);
	s->opened[side] = false;
	return r;
}

/* The one that was lost there may have settled its end without the source. */
static void forget_arrival(struct sides *s)
{
	const struct order *o = s->order[DESTINATION];
	struct err e;

	if (s->replaced_there && !s->unsettled[SOURCE] && !client_is_lost(s->agents[SOURCE]) &&
		driver_source_knows(s->d, s->agents[DESTINATION], o->uuid, o->owner, &e) < 0)
		log_debug("%s", e.msg);
}

/* An agent that is gone by now has left a journal, though nothing may be left to do. */
int sides_close(struct sides *s, struct err *e)
{
	int ret = 0;

	for (int side = SOURCE; side <= DESTINATION; side++) {
		bool open = s->opened[side];
		struct err now, ignored;
		int r = close_one(s, side, &now);

		if (open && client_is_lost(s->agents[side]) && sides_revive(s, side, &ignored) == 0)
			r = close_one(s, side, &now);
		if (r < 0)
			err_keep_first(&ret, e, &now);
	}
	forget_arrival(s);
	return ret;
}

void sides_leave(struct sides *s)
{
	s->opened[SOURCE] = s->opened[DESTINATION] = false;
}
