/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The settling table: each of its rows, and over all states what must never come out of it. */
#include "core/settle.h"
#include "tap.h"

static struct settle_view at(enum virt_state state)
{
	return (struct settle_view){ .reachable = true, .state = state };
}

static struct settle_view switched(enum virt_state state)
{
	return (struct settle_view){ .reachable = true, .state = state, .switched = true };
}

static struct settle_view turned_back(void)
{
	struct settle_view v = switched(VIRT_RUNNING);

	v.turned_back = true;
	return v;
}

/* The destination knows that the guest came, and has it no more. */
static struct settle_view was_at(enum virt_state state)
{
	return (struct settle_view){ .reachable = true, .state = state, .arrived = true };
}

static const struct settle_view away;

static void is_verdict(struct settle_view source, struct settle_view destination,
	enum settle_verdict wanted, const char *what)
{
	enum settle_verdict v = settle_decide(&source, &destination);

	if (!tap_result(v == wanted, "%s: %s", what, settle_verdict_name(wanted)))
		printf("# it is: %s\n", settle_verdict_name(v));
}

static void test_rows(void)
{
	struct settle_view busy = at(VIRT_RUNNING);

	busy.job = true;
	is_verdict(at(VIRT_RUNNING), at(VIRT_ABSENT), SETTLE_BACKWARD, "running, absent");
	is_verdict(at(VIRT_RUNNING), at(VIRT_OFF), SETTLE_BACKWARD, "running, shut off");
	is_verdict(at(VIRT_RUNNING), away, SETTLE_BACKWARD, "running, unreachable");
	is_verdict(busy, at(VIRT_MIGRATING), SETTLE_WAIT, "job, incoming");
	is_verdict(busy, away, SETTLE_WAIT, "job, unreachable");
	is_verdict(at(VIRT_MIGRATING), at(VIRT_RUNNING), SETTLE_DESTROY_STALE, "stale, running");
	is_verdict(at(VIRT_MIGRATING), at(VIRT_ABSENT), SETTLE_RESUME, "switched over, absent");
	is_verdict(at(VIRT_MIGRATING), away, SETTLE_IN_DOUBT, "switched over, unreachable");
	is_verdict(at(VIRT_MIGRATED), at(VIRT_RUNNING), SETTLE_FORWARD, "migrated, running");
	is_verdict(at(VIRT_ABSENT), at(VIRT_RUNNING), SETTLE_FORWARD, "undefined, running");
	is_verdict(at(VIRT_MIGRATED), away, SETTLE_UNVERIFIED, "migrated, unreachable");
	is_verdict(at(VIRT_ABSENT), away, SETTLE_UNVERIFIED, "undefined, unreachable");
	is_verdict(at(VIRT_OFF), at(VIRT_ABSENT), SETTLE_GUEST_ENDED, "shut off, absent");
	is_verdict(at(VIRT_MIGRATING), at(VIRT_MIGRATED), SETTLE_IN_DOUBT,
		"switched over, and migrated on from the destination");
	is_verdict(at(VIRT_MIGRATING), at(VIRT_ENDED), SETTLE_IN_DOUBT,
		"switched over, and shut down on the destination");
	is_verdict(at(VIRT_MIGRATING), at(VIRT_OFF), SETTLE_RESUME,
		"switched over, shut off on the destination: the incoming guest failed");
	is_verdict(at(VIRT_MIGRATING), was_at(VIRT_OFF), SETTLE_IN_DOUBT,
		"switched over, and it had come to the destination");
	is_verdict(at(VIRT_MIGRATING), was_at(VIRT_ABSENT), SETTLE_IN_DOUBT,
		"the same, and the destination has not even its definition any more");
	is_verdict(turned_back(), was_at(VIRT_OFF), SETTLE_IN_DOUBT,
		"turned back by libvirt, and it had come to the destination");
	is_verdict(turned_back(), at(VIRT_MIGRATED), SETTLE_IN_DOUBT,
		"turned back by libvirt, and migrated on from the destination");
	is_verdict(turned_back(), at(VIRT_ABSENT), SETTLE_BACKWARD,
		"turned back by libvirt, and it never came");
	is_verdict(switched(VIRT_RUNNING), was_at(VIRT_OFF), SETTLE_BACKWARD,
		"somebody has resumed the source's copy: it is the one");
	is_verdict(at(VIRT_MIGRATED), was_at(VIRT_RUNNING), SETTLE_FORWARD,
		"migrated, and where it came it runs");
	is_verdict(switched(VIRT_OFF), at(VIRT_MIGRATED), SETTLE_MOVED_ON,
		"shut off after the switch-over, migrated on from the destination");
	is_verdict(switched(VIRT_MIGRATED), at(VIRT_MIGRATED), SETTLE_MOVED_ON,
		"migrated, and migrated on from the destination");
	is_verdict(at(VIRT_OFF), at(VIRT_MIGRATED), SETTLE_GUEST_ENDED,
		"shut off before the switch-over; the destination has had it some time ago");
	is_verdict(at(VIRT_MIGRATED), at(VIRT_ENDED), SETTLE_GUEST_ENDED,
		"migrated, shut down on the destination");
	is_verdict(at(VIRT_RUNNING), at(VIRT_RUNNING), SETTLE_TWICE, "running, running");
	is_verdict(away, away, SETTLE_IN_DOUBT, "unreachable both");
	is_verdict(at(VIRT_PAUSED), at(VIRT_ABSENT), SETTLE_BACKWARD, "paused by a user, absent");
}

static bool lives(const struct settle_view *v)
{
	return v->reachable && (v->state == VIRT_RUNNING || v->state == VIRT_PAUSED);
}

static bool is(const struct settle_view *v, enum virt_state state)
{
	return v->reachable && v->state == state;
}

/* False when the verdict could make two copies, or lose the only one. */
static bool is_safe(const struct settle_view *s, const struct settle_view *d, enum settle_verdict v)
{
	bool gone_there = is(d, VIRT_ABSENT) || is(d, VIRT_OFF);

	if ((s->reachable && s->job) || (d->reachable && d->job))
		return v == SETTLE_WAIT;
	switch (v) {
	case SETTLE_RESUME:
		return is(s, VIRT_MIGRATING) && gone_there && !d->arrived;
	case SETTLE_DESTROY_STALE:
		return is(s, VIRT_MIGRATING) && lives(d);
	case SETTLE_BACKWARD:
		return lives(s) && !lives(d) && !is(d, VIRT_MIGRATING) &&
		       (d->reachable || !s->switched) &&
		       !(s->turned_back && (d->arrived || is(d, VIRT_MIGRATED)));
	case SETTLE_FORWARD:
		return lives(d) && !lives(s) && !is(s, VIRT_MIGRATING);
	case SETTLE_TWICE:
		return lives(s) && lives(d);
	case SETTLE_GUEST_ENDED:
		return !lives(s) && !lives(d) && d->reachable && !is(s, VIRT_MIGRATING);
	case SETTLE_UNVERIFIED:
		return s->reachable && !lives(s) && !is(s, VIRT_MIGRATING) && !d->reachable;
	case SETTLE_WAIT:
		return is(d, VIRT_MIGRATING);
	case SETTLE_MOVED_ON:
		return s->switched && !lives(s) && is(d, VIRT_MIGRATED) && !is(s, VIRT_MIGRATING);
	case SETTLE_IN_DOUBT:
		return !s->reachable || !d->reachable || d->arrived || s->turned_back ||
		       (is(s, VIRT_MIGRATING) &&
			       (is(d, VIRT_MIGRATED) || is(d, VIRT_ENDED) || is(d, VIRT_CRASHED)));
	}
	return false;
}

/* State number VIRT_CRASHED + 1 stands for "unreachable". */
static struct settle_view view_number(int n, bool job)
{
	return n > (int)VIRT_CRASHED ? away
				     : (struct settle_view){ .reachable = true,
					       .state = (enum virt_state)n,
					       .job = job };
}

static void test_safety(void)
{
	int bad = 0, n = 0;

	for (int s = VIRT_ABSENT; s <= (int)VIRT_CRASHED + 1; s++)
		for (int d = VIRT_ABSENT; d <= (int)VIRT_CRASHED + 1; d++)
			for (int bits = 0; bits < 32; bits++) {
				struct settle_view source = view_number(s, bits & 1);
				struct settle_view destination = view_number(d, bits & 2);
				enum settle_verdict v;

				source.switched = bits & 4;
				source.turned_back = bits & 8;
				destination.arrived = bits & 16;
				v = settle_decide(&source, &destination);
				n++;
				if (is_safe(&source, &destination, v))
					continue;
				bad++;
				printf("# %d/%d, bits %d: %s\n", s, d, bits,
					settle_verdict_name(v));
			}
	ok(bad == 0, "no combination of %d could start a second copy or lose the only one", n);
}

static void test_alone(void)
{
	int bad = 0;

	for (int here = VIRT_ABSENT; here <= (int)VIRT_CRASHED; here++) {
		struct settle_view v = view_number(here, false);
		enum settle_verdict source = settle_decide_alone(true, &v);
		enum settle_verdict destination = settle_decide_alone(false, &v);

		/* Nobody resumes or destroys what he alone sees. */
		bad += source == SETTLE_RESUME || source == SETTLE_DESTROY_STALE;
		bad += destination == SETTLE_RESUME || destination == SETTLE_DESTROY_STALE;
	}
	ok(bad == 0, "alone, nothing is resumed or destroyed");
	{
		struct settle_view v = at(VIRT_MIGRATING);

		ok(settle_decide_alone(true, &v) == SETTLE_IN_DOUBT,
			"alone and switched over: in doubt");
		v = at(VIRT_RUNNING);
		ok(settle_decide_alone(true, &v) == SETTLE_BACKWARD,
			"alone, running on the source: back");
		ok(settle_decide_alone(false, &v) == SETTLE_FORWARD,
			"alone, running on the destination: forward");
		v.switched = true;
		ok(settle_decide_alone(true, &v) == SETTLE_IN_DOUBT,
			"alone, running on the source after the switch-over: in doubt");
	}
}

static void test_names(void)
{
	for (int v = SETTLE_BACKWARD; v <= SETTLE_TWICE; v++) {
		enum settle_verdict back = SETTLE_WAIT;
		int r = settle_verdict_from_name(settle_verdict_name((enum settle_verdict)v),
			&back);

		tap_result(r == 0 && (int)back == v, "\"%s\" survives its name",
			settle_verdict_name((enum settle_verdict)v));
	}
	for (int s = VIRT_ABSENT; s <= (int)VIRT_CRASHED; s++)
		tap_result((int)virt_state_from_name(virt_state_name((enum virt_state)s)) == s,
			"\"%s\" survives its name", virt_state_name((enum virt_state)s));
	ok(virt_state_from_name("dancing") == VIRT_CRASHED, "an unknown state is the worst one");
}

int main(void)
{
	test_rows();
	test_safety();
	test_alone();
	test_names();
	return tap_done();
}
