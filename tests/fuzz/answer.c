/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a driver reads: answers, errors and events, and whatever a login script says. */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/client.h"
#include "core/facts.h"
#include "fuzz.h"
#include "record.h"
#include "util/mem.h"

const char fuzz_name[] = "answer";

enum { INPUT_MAX = 128 * 1024, LIMIT_MS = 5000, N_CALLS = 3 };

static void on_event(void *arg, struct client *c, const char *event, const json_t *data)
{
	must(event && client_label(c));
	json_string_value(json_object_get(data, "text"));
}

static void check_call(const struct call *call)
{
	struct host_facts facts = { 0 };
	struct err e = { 0 };

	must(call->done && call->failed == (call->result == NULL));
	if (call->failed) {
		must(call->err.kind != ERR_NONE && strncmp(call->err.msg, "host-b: ", 8) == 0);
		must(call->err.msg[8]);
		return;
	}
	must(json_is_object(call->result));
	fuzz_decode(&host_facts_record, call->result, &facts);
	record_clear(&host_facts_record, &facts);
	if (facts_decode(call->result, &facts, &e) == 0)
		must(facts.hostname && facts.uuid);
	else
		must(e.msg[0] && !facts.n_pfs);
	record_clear(&host_facts_record, &facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct call calls[N_CALLS], *list[N_CALLS];
	struct client_group group;
	struct client *client;
	int ends[2];

	if (size > INPUT_MAX)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	must(write(ends[1], data, size) == (ssize_t)size);
	shutdown(ends[1], SHUT_WR);
	client_group_init(&group);
	group.on_event = on_event;
	client = client_attach("host-b", ends[0]);
	client_group_add(&group, client);
	for (size_t i = 0; i < N_CALLS; i++) {
		list[i] = &calls[i];
		call_start(list[i], client, "facts", NULL, LIMIT_MS);
	}
	call_wait(&group, list, N_CALLS, NULL);
	for (size_t i = 0; i < N_CALLS; i++) {
		check_call(list[i]);
		call_free(list[i]);
	}
	client_group_free(&group);
	close(ends[1]);
	return 0;
}
