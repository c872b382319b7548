/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>

#include "tap.h"
#include "util/cancel.h"
#include "util/clock.h"

struct look {
	int calls;
	int good_after; /* number of the call that finds it; 0: never */
	int fail_at;    /* number of the call that fails; 0: never */
};

static int look(void *arg, struct err *e)
{
	struct look *l = arg;

	l->calls++;
	if (l->calls == l->fail_at)
		return err_set(e, "looking failed");
	return l->good_after && l->calls >= l->good_after;
}

struct later {
	struct cancel *c;
	int64_t ms;
	void (*act)(struct cancel *c);
};

static void *act_later(void *arg)
{
	struct later *l = arg;

	clock_sleep_ms(l->ms);
	l->act(l->c);
	return NULL;
}

static int wait_with(struct look *l, struct later *later, int64_t limit, int64_t poll,
	struct err *e, int64_t *ret_took)
{
	int64_t start = clock_ms();
	pthread_t thread;
	int r;

	if (later)
		pthread_create(&thread, NULL, act_later, later);
	r = cancel_wait(later ? later->c : NULL, limit, poll, "the test", look, l, e);
	*ret_took = clock_ms() - start;
	if (later)
		pthread_join(thread, NULL);
	return r;
}

static void do_nothing(struct cancel *c)
{
}

int main(void)
{
	struct cancel c;
	struct later nothing = { &c, 0, do_nothing };
	int64_t took;
	struct err e;

	cancel_init(&c);
	{
		struct look l = { .good_after = 1 };

		ok(wait_with(&l, &nothing, 5000, 1000, &e, &took) == 0 && l.calls == 1 &&
				took < 500,
			"what is there already is found at once");
	}
	{
		struct look l = { .good_after = 4 };

		ok(wait_with(&l, &nothing, 5000, 5, &e, &took) == 0 && l.calls >= 4,
			"it looks again and again");
	}
	{
		struct look l = { 0 };

		ok(wait_with(&l, &nothing, 60, 10, &e, &took) < 0 && e.kind == ERR_TIMEOUT &&
				took >= 60,
			"waiting ends at its limit");
		ok(strstr(e.msg, "the test") != NULL, "and says what was waited for");
		ok(l.calls > 1, "after looking until the end");
	}
	{
		struct look l = { .fail_at = 2 };

		ok(wait_with(&l, &nothing, 5000, 5, &e, &took) < 0 && e.kind == ERR_FAILED &&
				strcmp(e.msg, "looking failed") == 0,
			"an error while looking ends the wait and stays as it is");
	}
	{
		struct look l = { 0 };
		struct later cancel = { &c, 20, cancel_request };

		ok(wait_with(&l, &cancel, 60000, 60000, &e, &took) < 0 && e.kind == ERR_CANCELLED &&
				took < 5000,
			"cancelling wakes it");
		ok(cancel_is_set(&c), "and stays");
	}
	{
		struct look l = { .good_after = 1 };

		ok(wait_with(&l, &nothing, 1000, 10, &e, &took) == 0,
			"what is there counts even when cancelled");
	}
	cancel_reset(&c);
	ok(!cancel_is_set(&c), "reset takes it back");
	{
		struct look l = { .good_after = 2 };
		struct later wake = { &c, 20, cancel_wake };

		ok(wait_with(&l, &wake, 60000, 60000, &e, &took) == 0 && took < 5000,
			"a wake-up makes it look again");
	}
	{
		struct look l = { 0 };

		ok(wait_with(&l, &nothing, 0, 10, &e, &took) < 0 && l.calls == 1,
			"a limit of nothing still looks once");
	}
	return tap_done();
}
