/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/mem.h"
#include "util/str.h"
#include "virt/virt.h"

enum status status_of(const struct err *e)
{
	switch (e->kind) {
	case ERR_USAGE:
		return STATUS_USAGE;
	case ERR_REFUSED:
		return STATUS_REFUSED;
	case ERR_BUSY:
		return STATUS_BUSY;
	default:
		return STATUS_FAILED;
	}
}

int outcome_severity(enum status s)
{
	static const enum status order[] = { STATUS_DONE, STATUS_BUSY, STATUS_REFUSED,
		STATUS_FAILED, STATUS_DEGRADED, STATUS_INCOMPLETE };
	int i = 0;

	while (i < (int)ARRAY_SIZE(order) && order[i] != s)
		i++;
	return i;
}

void outcome_init(struct outcome *o)
{
	*o = (struct outcome){ .total_ms = -1, .standby_ms = -1, .downtime_ms = -1 };
}

static void set(struct outcome *o, enum status status, const char *name, const struct err *why)
{
	o->status = status;
	o->name = name;
	o->err = *why;
}

void outcome_refused(struct outcome *o, const struct plan *p, const char *domain)
{
	outcome_init(o);
	o->status = p->busy ? STATUS_BUSY : STATUS_REFUSED;
	o->name = p->busy ? "busy" : "refused";
	for (size_t i = 0; i < p->problems.n; i++)
		if (!p->busy && str_equal(p->problems.v[i].code, "running-twice"))
			o->status = STATUS_INCOMPLETE;
	snprintf(o->text, sizeof(o->text), "%s was not touched", domain);
}

void outcome_not_begun(struct outcome *o, const struct parties *p, const struct err *why)
{
	enum status status = status_of(why);

	set(o, status, status == STATUS_BUSY ? "busy" : "failed", why);
	snprintf(o->text, sizeof(o->text), "%s was not touched", p->domain);
}

void outcome_rolled_back(struct outcome *o, const struct parties *p, const struct err *undone,
	const struct err *why)
{
	if (undone->kind == ERR_NONE) {
		set(o, STATUS_FAILED, "rolled-back", why);
		snprintf(o->text, sizeof(o->text), "%s was not migrated: it runs on %s as before",
			p->domain, p->source);
		return;
	}
	set(o, STATUS_INCOMPLETE, "rollback-incomplete", why);
	snprintf(o->text, sizeof(o->text), "%s was not migrated, and not all could be undone: %s",
		p->domain, undone->msg);
	snprintf(o->hint, sizeof(o->hint),
		"It runs on %s. If it is without its VF: sriov-migrate reattach %s (on %s).",
		p->source, p->domain, p->source);
}

void outcome_guest_ended(struct outcome *o, const struct parties *p, const struct err *undone,
	const struct err *why)
{
	bool left = undone->kind != ERR_NONE;

	set(o, left ? STATUS_INCOMPLETE : STATUS_FAILED, "guest-ended", why);
	snprintf(o->text, sizeof(o->text), "%s ended by itself meanwhile; nothing was started%s%s",
		p->domain, left ? ", and not all could be undone: " : "", left ? undone->msg : "");
	if (left)
		snprintf(o->hint, sizeof(o->hint), "sriov-migrate recover %s undoes the rest.",
			p->domain);
}

void outcome_unknown(struct outcome *o, const struct parties *p, enum settle_verdict v,
	const struct settle_view *source, const struct settle_view *destination,
	const struct err *why)
{
	set(o, STATUS_INCOMPLETE, v == SETTLE_TWICE ? "running-twice" : "in-doubt", why);
	snprintf(o->text, sizeof(o->text), "%s is %s on %s and %s on %s: %s", p->domain,
		settle_view_text(source), p->source, settle_view_text(destination), p->destination,
		settle_verdict_name(v));
	snprintf(o->hint, sizeof(o->hint),
		"%s sriov-migrate recover %s settles what can be settled.",
		v == SETTLE_TWICE
			? "The source's copy was suspended. End the wrong one of both (virsh "
			  "destroy); then"
			: "Nothing was started, resumed or destroyed. Look at both hosts with "
			  "virsh;",
		p->domain);
}

void outcome_hint_at_reattach(struct outcome *o, const char *domain, const char *host)
{
	snprintf(o->hint, sizeof(o->hint),
		"Once the cause is mended: sriov-migrate reattach %s (on %s).", domain, host);
}

void outcome_degraded(struct outcome *o, const struct parties *p, size_t n_missing, size_t n_pairs,
	const struct err *why)
{
	set(o, STATUS_DEGRADED, "degraded", why);
	snprintf(o->text, sizeof(o->text),
		"%s is on %s, its network works by the standby, but it has no VF that it uses for %zu of "
		"%zu pairs",
		p->domain, p->destination, n_missing, n_pairs);
	outcome_hint_at_reattach(o, p->domain, p->destination);
}

void outcome_unfinished(struct outcome *o, const struct parties *p, const struct err *why)
{
	set(o, STATUS_INCOMPLETE, "cleanup-incomplete", why);
	snprintf(o->text, sizeof(o->text), "%s runs on %s, but not all could be finished",
		p->domain, p->destination);
	snprintf(o->hint, sizeof(o->hint), "sriov-migrate recover %s (on %s) goes on with it.",
		p->domain, p->destination);
}

void outcome_left(struct outcome *o, const struct err *why)
{
	size_t len = strlen(o->text);
	bool back = str_equal(o->name, "rolled-back");

	snprintf(o->text + len, sizeof(o->text) - len, "; %s", why->msg);
	if (o->status == STATUS_INCOMPLETE)
		return;
	o->status = STATUS_INCOMPLETE;
	o->name = back ? "rollback-incomplete" : "cleanup-incomplete";
	if (!*o->hint)
		snprintf(o->hint, sizeof(o->hint),
			"Nothing else is left to do. Once files can be removed there, sriov-migrate "
			"recover does so.");
}

void outcome_unseen(struct outcome *o, const struct parties *p, const struct err *why)
{
	set(o, STATUS_INCOMPLETE, "cleanup-incomplete", why);
	/* It has answered before: how to log in there is not what is wrong. */
	o->err.hint[0] = '\0';
	snprintf(o->text, sizeof(o->text),
		"%s was handed over to %s, which does not answer any more", p->domain,
		p->destination);
	snprintf(o->hint, sizeof(o->hint),
		"Look at that host. When it is back, sriov-migrate recover %s there goes on with it.",
		p->domain);
}

void outcome_done(struct outcome *o, const struct parties *p, const char *name, const char *vfs)
{
	char downtime[64] = "";

	o->status = STATUS_DONE;
	o->name = name;
	if (!p->source) {
		snprintf(o->text, sizeof(o->text), "%s on %s is on its VF (%s)", p->domain,
			p->destination, vfs);
		return;
	}
	if (o->downtime_ms >= 0)
		snprintf(downtime, sizeof(downtime), ", downtime %" PRId64 " ms", o->downtime_ms);
	snprintf(o->text, sizeof(o->text),
		"%s is on %s, on its VF (%s): %.1f s in all, %.1f s by the standby%s", p->domain,
		p->destination, vfs, (double)o->total_ms / 1000, (double)o->standby_ms / 1000,
		downtime);
}

/* ---- recover ---- */

void outcome_say(struct outcome *o, enum status status, const char *name, const char *domain,
	const char *host, const char *text)
{
	o->status = status;
	o->name = name;
	snprintf(o->text, sizeof(o->text), "%s on %s: %s", domain, host, text);
	o->hint[0] = '\0';
}

/* The last three leave something to do whatever is done. */
static const struct words {
	enum status status;
	const char *name;
	const char *more; /* NULL: the verdict says it all */
} words[] = {
	[SETTLE_BACKWARD] = { STATUS_FAILED, "rolled-back", NULL },
	[SETTLE_RESUME] = { STATUS_FAILED, "rolled-back", NULL },
	[SETTLE_FORWARD] = { STATUS_DONE, "finished", NULL },
	[SETTLE_DESTROY_STALE] = { STATUS_DONE, "finished", NULL },
	[SETTLE_UNVERIFIED] = { STATUS_INCOMPLETE, "unverified",
		"it has left here, and the destination does not answer: not verified" },
	[SETTLE_GUEST_ENDED] = { STATUS_FAILED, "guest-ended", NULL },
	[SETTLE_MOVED_ON] = { STATUS_DONE, "finished", NULL },
	[SETTLE_WAIT] = { STATUS_INCOMPLETE, "in-doubt",
		"nothing was started, resumed, destroyed or attached" },
	[SETTLE_IN_DOUBT] = { STATUS_INCOMPLETE, "in-doubt",
		"nothing was started, resumed, destroyed or attached" },
	[SETTLE_TWICE] = { STATUS_INCOMPLETE, "running-twice",
		"it runs on both; the source's copy has to stand still, no VF was touched" },
};

/* The copy here is old, as far as anybody knows. */
static void hint_at_choice(struct outcome *o, const char *domain, bool runs)
{
	CLEANUP_FREE char *suspend = runs ? str_printf("virsh suspend %s and ", domain) : NULL;

	snprintf(o->hint, sizeof(o->hint),
		"It has been on the other host, which has it no more: find out where it is, or "
		"how it ended. virsh destroy %s ends the copy here, %svirsh resume %s says that "
		"it is the one; then sriov-migrate recover %s.",
		domain, suspend ? suspend : "", domain, domain);
}

void outcome_hint_in_doubt(struct outcome *o, const char *domain, const struct settle_view *source,
	const struct settle_view *destination)
{
	bool both = source->reachable && destination->reachable;
	bool was_there = destination->arrived || destination->state == VIRT_MIGRATED ||
			 destination->state == VIRT_ENDED || destination->state == VIRT_CRASHED;

	if (both && was_there && !destination->job && !source->job)
		hint_at_choice(o, domain, settle_view_lives(source));
	else if (both)
		snprintf(o->hint, sizeof(o->hint),
			"Resume or destroy nothing by hand before it is seen on both hosts where it "
			"runs. sriov-migrate recover %s looks once more.",
			domain);
	else
		snprintf(o->hint, sizeof(o->hint),
			"sriov-migrate recover %s settles it when the other host answers; --fenced says "
			"that it is off, and stays so.",
			domain);
}

void outcome_settled(struct outcome *o, enum settle_verdict v, const char *domain, const char *host,
	bool is_source, bool done)
{
	const struct words *w = &words[v];

	if (done || w->more)
		outcome_say(o, w->status, w->name, domain, host,
			w->more ? w->more : settle_verdict_name(v));
	else if (v == SETTLE_FORWARD && !is_source) {
		outcome_say(o, STATUS_DEGRADED, "degraded", domain, host,
			"it runs by its standby; its VF could not be given back");
		outcome_hint_at_reattach(o, domain, host);
	} else
		outcome_say(o, STATUS_INCOMPLETE, "incomplete", domain, host,
			"not all could be settled");
}
