/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/standby.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/move.h"
#include "core/nic.h"
#include "core/uplink.h"
#include "net/link.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"
#include "xml/rewrite.h"

enum { EXPECT_POLL_MS = 250 };

/* ---- link ---- */

static int read_link(struct end *end, size_t i, bool *ret_up, struct err *e)
{
	const char *alias = end->order.pairs[i].standby_alias;
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	CLEANUP_FREE char *xml = NULL;
	const struct xml_pair *pair;

	if (end_live_xml(end, &xml, e) < 0 || xml_pairs_find(xml, &pairs, e) < 0)
		return -1;
	pair = xml_pairs_by_alias(&pairs, alias);
	if (!pair)
		return err_set(e, "the standby %s is gone from the live definition", alias);
	*ret_up = pair->link_up;
	return 0;
}

static int set_link(struct end *end, size_t i, bool up, struct err *e)
{
	const char *alias = end->order.pairs[i].standby_alias;
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *migratable = NULL;
	CLEANUP_FREE char *nic = NULL;
	bool now = !up;

	if (read_link(end, i, &now, e) < 0)
		return -1;
	if (now == up)
		return 0;
	if (end_domain(end, &d, e) < 0 ||
		virt_domain_xml(d, VIRT_XML_MIGRATABLE, &migratable, e) < 0 ||
		xml_standby_with_link(migratable, alias, up, &nic, e) < 0 ||
		virt_device_update(d, nic, e) < 0 || read_link(end, i, &now, e) < 0)
		return err_prefix(e, "link of the standby %s", alias);
	if (now != up)
		return err_set(e, "the link of the standby %s did not change", alias);
	return 0;
}

int standby_link_up(struct end *end, size_t i, struct err *e)
{
	return set_link(end, i, true, e);
}

int standby_link_rest(struct end *end, size_t i, struct err *e)
{
	return end->order.pairs[i].link_was_up ? 0 : set_link(end, i, false, e);
}

/* ---- tap entry ---- */

/* The tap's present name; a fixed one from the order, a generated one from the live XML. */
static int tap_name(struct end *end, size_t i, char **ret, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	CLEANUP_FREE char *xml = NULL;
	const struct xml_pair *pair;

	if (p->tap) {
		*ret = str_dup(p->tap);
		return 0;
	}
	if (end_live_xml(end, &xml, e) < 0 || xml_pairs_find(xml, &pairs, e) < 0)
		return -1;
	pair = xml_pairs_by_alias(&pairs, p->standby_alias);
	if (!pair || !pair->tap)
		return err_set_kind(e, ERR_NOT_FOUND, "the standby %s has no tap",
			p->standby_alias);
	*ret = str_dup(pair->tap);
	return 0;
}

static bool is_macvtap(const struct end *end, size_t i)
{
	return !end->order.pairs[i].bridge;
}

/* The tap, as a port of its bridge unless it is a macvtap; ERR_NOT_FOUND while it is not. */
static int find_tap(struct end *end, size_t i, struct link *ret, struct err *e)
{
	const char *bridge = end->order.pairs[i].bridge;
	CLEANUP_FREE char *name = NULL;
	struct link br;

	if (tap_name(end, i, &name, e) < 0 || link_get(end->nl, name, ret, e) < 0)
		return -1;
	if (is_macvtap(end, i))
		return 0;
	if (link_get(end->nl, bridge, &br, e) < 0)
		return -1;
	if (ret->master != br.ifindex)
		return err_set_kind(e, ERR_NOT_FOUND, "%s is no port of %s", name, bridge);
	return 0;
}

static int pair_mac(struct end *end, size_t i, struct mac *ret, struct err *e)
{
	if (mac_parse(end->order.pairs[i].mac, ret) < 0)
		return err_set(e, "\"%s\" is no MAC address", end->order.pairs[i].mac);
	return 0;
}

/* Notes the static and local entries of the bridge that ours will replace, the first time only. */
static int remember_found(struct end *end, size_t i, const struct fdb_list *all,
	const struct link *tap, struct err *e)
{
	struct pair_state *s = &end->pairs[i];

	if (s->n_found)
		return 0;
	for (size_t k = 0; k < all->n; k++) {
		const struct fdb_entry *entry = &all->v[k];
		bool ours =
			entry->port == tap->ifindex && entry->kind == FDB_STATIC && entry->sticky;
		struct found_entry *f;

		if (entry->bridge != tap->master || entry->kind == FDB_LEARNT || ours)
			continue;
		f = mem_append(&s->found, &s->n_found, sizeof(*f));
		*f = (struct found_entry){ entry->port, entry->bridge, entry->vlan,
			entry->kind == FDB_LOCAL, entry->sticky };
	}
	return s->n_found ? end_note_state(end, i, e) : 0;
}

static int restore_found(struct end *end, const struct mac *mac, const struct found_entry *f,
	struct err *e)
{
	struct fdb_entry entry = { .mac = *mac,
		.port = (int)f->port,
		.bridge = (int)f->bridge,
		.vlan = (uint16_t)f->vlan,
		.kind = f->local ? FDB_LOCAL : FDB_STATIC,
		.sticky = f->sticky };
	int r = fdb_restore(end->nl, &entry, e);

	/* Its port may be gone by now, and the entry with it. */
	return r < 0 && e->kind == ERR_NOT_FOUND ? 0 : r;
}

/* Whether every VLAN of the port has its entry, and the bridge has none for another port. */
static int verify_tap_entry(struct end *end, const struct mac *mac, const struct link *tap,
	const struct vlan_list *vlans, struct err *e)
{
	CLEANUP_FDB struct fdb_list now = { 0 };

	if (fdb_find(end->nl, mac, &now, e) < 0)
		return -1;
	for (size_t v = 0; v < vlans->n; v++) {
		bool found = false;

		for (size_t k = 0; k < now.n; k++)
			found = found ||
				(now.v[k].bridge == tap->master && now.v[k].port == tap->ifindex &&
					now.v[k].vlan == vlans->v[v] &&
					now.v[k].kind == FDB_STATIC && now.v[k].sticky);
		if (!found)
			return err_set(e, "the entry on %s (VLAN %u) is not there after it was set",
				tap->name, vlans->v[v]);
	}
	return 0;
}

static int set_tap_entry(struct end *end, size_t i, const struct link *tap, struct err *e)
{
	CLEANUP_VLANS struct vlan_list vlans = { 0 };
	CLEANUP_FDB struct fdb_list found = { 0 };
	struct mac mac;

	if (pair_mac(end, i, &mac, e) < 0 || fdb_find(end->nl, &mac, &found, e) < 0 ||
		link_port_vlans(end->nl, tap->ifindex, &vlans, e) < 0)
		return -1;
	if (remember_found(end, i, &found, tap, e) < 0)
		return -1;
	for (size_t v = 0; v < vlans.n; v++)
		if (fdb_replace(end->nl, tap->ifindex, &mac, vlans.v[v], e) < 0)
			return -1;
	return verify_tap_entry(end, &mac, tap, &vlans, e);
}

int tap_entry_set(struct end *end, size_t i, struct err *e)
{
	struct link tap;

	if (is_macvtap(end, i))
		return 0;
	if (find_tap(end, i, &tap, e) < 0)
		return -1;
	return set_tap_entry(end, i, &tap, e);
}

/* Ours: static and sticky, on the tap. */
static int delete_tap_entries(struct end *end, const struct mac *mac, const struct link *tap,
	struct err *e)
{
	CLEANUP_FDB struct fdb_list found = { 0 };
	int r = 0;

	if (fdb_find(end->nl, mac, &found, e) < 0)
		return -1;
	for (size_t k = 0; k < found.n && r == 0; k++)
		if (found.v[k].bridge && found.v[k].port == tap->ifindex &&
			found.v[k].kind == FDB_STATIC && found.v[k].sticky)
			r = fdb_delete(end->nl, &found.v[k], e);
	return r;
}

static int verify_tap_entry_gone(struct end *end, const struct mac *mac, const struct link *tap,
	struct err *e)
{
	CLEANUP_FDB struct fdb_list now = { 0 };

	if (fdb_find(end->nl, mac, &now, e) < 0)
		return -1;
	for (size_t k = 0; k < now.n; k++)
		if (now.v[k].bridge && now.v[k].port == tap->ifindex && now.v[k].sticky)
			return err_set(e, "the entry on %s is still there after it was removed",
				tap->name);
	return 0;
}

int tap_entry_remove(struct end *end, size_t i, struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	struct link tap;
	struct mac mac;
	int r;

	if (is_macvtap(end, i))
		return 0;
	if (pair_mac(end, i, &mac, e) < 0)
		return -1;
	r = find_tap(end, i, &tap, e);
	/* A tap that is gone took its entries with it, but not those that had stood in their place. */
	if (r < 0 && e->kind != ERR_NOT_FOUND)
		return -1;
	if (r == 0 && (delete_tap_entries(end, &mac, &tap, e) < 0 ||
			      verify_tap_entry_gone(end, &mac, &tap, e) < 0))
		return -1;
	for (size_t k = 0; k < s->n_found; k++)
		if (restore_found(end, &mac, &s->found[k], e) < 0)
			return -1;
	return 0;
}

/* ---- uplink entry ---- */

static int has_self_entry(struct end *end, const struct mac *mac, int dev, bool *ret, struct err *e)
{
	CLEANUP_FDB struct fdb_list found = { 0 };

	if (fdb_find(end->nl, mac, &found, e) < 0)
		return -1;
	*ret = false;
	for (size_t k = 0; k < found.n; k++)
		*ret = *ret || (found.v[k].kind == FDB_SELF && found.v[k].port == dev);
	return 0;
}

/* Says in the journal that the entry, which is not there yet, will be ours. */
static int claim_self_entry(struct end *end, size_t i, struct err *e)
{
	if (end->pairs[i].self_added)
		return 0;
	end->pairs[i].self_added = true;
	return end_note_state(end, i, e);
}

/* Whether the device below has the MAC of the pair's macvtap. */
static int verify_macvtap(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct link lower;
	struct mac mac;
	bool present;

	if (pair_mac(end, i, &mac, e) < 0 || link_get(end->nl, p->uplink, &lower, e) < 0 ||
		has_self_entry(end, &mac, lower.ifindex, &present, e) < 0)
		return -1;
	return present ? 0
		       : err_set(e, "%s does not list %s although the macvtap is up", p->uplink,
				 p->mac);
}

/* Where the second one to ask for a MAC gets nothing, a macvtap that rests up has to ask anew. */
static int raise_macvtap(struct end *end, size_t i, struct err *e)
{
	bool ask_anew = nic_rule_from_name(end->order.pairs[i].rule) == NIC_DROP_FIRST;
	struct link tap;

	if (find_tap(end, i, &tap, e) < 0)
		return -1;
	if (tap.up && ask_anew && link_set_up(end->nl, tap.name, false, e) < 0)
		return -1;
	if ((!tap.up || ask_anew) && link_set_up(end->nl, tap.name, true, e) < 0)
		return -1;
	return verify_macvtap(end, i, e);
}

/* One that is gone has gone with the guest. */
static int set_macvtap(struct end *end, size_t i, bool up, struct err *e)
{
	struct link tap;
	int r = find_tap(end, i, &tap, e);

	if (r == 0 && tap.up != up)
		r = link_set_up(end->nl, tap.name, up, e);
	return r < 0 && e->kind == ERR_NOT_FOUND ? 0 : r;
}

/* *RET_COMPLAINT: what the NIC's driver has against it; caller frees. */
static int set_uplink_entry(struct end *end, size_t i, char **ret_complaint, struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	CLEANUP_CLOSE int log = -1;
	struct link uplink;
	struct mac mac;
	bool present;

	if (is_macvtap(end, i))
		return raise_macvtap(end, i, e);
	if (pair_mac(end, i, &mac, e) < 0 ||
		link_get(end->nl, end->order.pairs[i].uplink, &uplink, e) < 0 ||
		has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0)
		return -1;
	if (present) {
		s->self_added = s->self_added || end->order.pairs[i].adopt;
		return 0;
	}
	log = uplink_log_mark();
	if (claim_self_entry(end, i, e) < 0 || fdb_add_self(end->nl, uplink.ifindex, &mac, e) < 0)
		return -1;
	*ret_complaint = uplink_complaint(end, i, log);
	if (has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0)
		return -1;
	return present ? 0
		       : err_set(e, "%s does not list %s after it was added", uplink.name,
				 end->order.pairs[i].mac);
}

int uplink_entry_set(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *complaint = NULL;

	if (set_uplink_entry(end, i, &complaint, e) < 0)
		return -1;
	if (!complaint)
		return 0;
	err_set(e, "the NIC refuses uplink %s the guest's MAC; the kernel says \"%s\"",
		end->order.pairs[i].uplink, complaint);
	return err_hint(e,
		"Is the uplink's VF trusted? Are there too many guests on their standby?");
}

/* The guest is on its way: nothing can be refused any more. */
static int set_uplink_entry_or_warn(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *complaint = NULL;

	if (set_uplink_entry(end, i, &complaint, e) < 0)
		return -1;
	if (complaint)
		log_warn(
			"%s: the NIC refuses uplink %s the guest's MAC, frames for it may be lost until "
			"it has its VF; the kernel says \"%s\"",
			end->order.name, end->order.pairs[i].uplink, complaint);
	return 0;
}

/*
 * A bridge that filters VLANs, and whose uplink is its only port that learns and floods, leaves
 * the uplink out of promiscuous mode; instead it puts every MAC that it has a static or local
 * entry for on the uplink's list (net/bridge/br_if.c, br_manage_promisc). What is listed then is
 * the bridge's, and goes with that entry.
 */
static int bridge_lists_it(struct end *end, const struct mac *mac, const struct link *uplink,
	bool *ret, struct err *e)
{
	CLEANUP_FDB struct fdb_list found = { 0 };
	CLEANUP_LINKS struct link_list links = { 0 };
	const struct link *bridge;

	if (fdb_find(end->nl, mac, &found, e) < 0 || link_list_get(end->nl, &links, e) < 0)
		return -1;
	bridge = link_list_by_index(&links, uplink->master);
	*ret = false;
	for (size_t k = 0; bridge && bridge->vlan_filtering && k < found.n; k++)
		*ret = *ret ||
		       (found.v[k].bridge == bridge->ifindex && found.v[k].kind != FDB_LEARNT &&
			       found.v[k].port != uplink->ifindex);
	return 0;
}

int uplink_entry_remove(struct end *end, size_t i, struct err *e)
{
	struct pair_state *s = &end->pairs[i];
	bool present, bridges = false;
	struct link uplink;
	struct mac mac;

	if (is_macvtap(end, i))
		return set_macvtap(end, i, end->order.pairs[i].macvtap_was_up, e);
	if (!s->self_added && !end->order.pairs[i].adopt)
		return 0;
	if (pair_mac(end, i, &mac, e) < 0)
		return -1;
	if (link_get(end->nl, end->order.pairs[i].uplink, &uplink, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	if (fdb_delete_self(end->nl, uplink.ifindex, &mac, e) < 0 ||
		has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0 ||
		(present && bridge_lists_it(end, &mac, &uplink, &bridges, e) < 0))
		return -1;
	if (present && !bridges)
		return err_set(e, "%s still lists %s after it was removed", uplink.name,
			end->order.pairs[i].mac);
	s->self_added = false;
	return 0;
}

int uplink_entry_yield(struct end *end, size_t i, struct err *e)
{
	bool present, bridges = false;
	struct link uplink;
	struct mac mac;

	if (is_macvtap(end, i))
		return set_macvtap(end, i, false, e);
	if (uplink_entry_remove(end, i, e) < 0 || pair_mac(end, i, &mac, e) < 0 ||
		link_get(end->nl, end->order.pairs[i].uplink, &uplink, e) < 0 ||
		has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0 ||
		(present && bridge_lists_it(end, &mac, &uplink, &bridges, e) < 0))
		return -1;
	return bridges ? tap_entry_remove(end, i, e) : 0;
}

int standby_path_up(struct end *end, size_t i, struct err *e)
{
	if (standby_link_up(end, i, e) < 0 || tap_entry_set(end, i, e) < 0)
		return -1;
	return uplink_entry_set(end, i, e);
}

/* ---- the destination ---- */

/*
 * Theory of operation: libvirt creates the tap when it prepares the incoming domain, seconds
 * before the guest resumes, and says so twice: the kernel by a link notification, libvirt by a
 * lifecycle event. Either wakes the waiter, which looks for taps that have joined their
 * bridge. A small thread turns link notifications into wake-ups.
 *
 * The switch-over is told by the driver (the source's libvirt reports the guest suspended, some
 * tens of milliseconds before it resumes here); libvirt's own event here is the fallback.
 * What takes time (the journal, finding tap and uplink) is done before that.
 */
struct expect {
	struct end *end;
	bool *joined;      /* owned; by pair: its tap is a port of the bridge */
	struct link *taps; /* owned; by pair */
	uint64_t mark;
	struct mnl_socket *monitor; /* owned */
	int stop_pipe[2];           /* owned */
};

static void *wake_on_link_news(void *arg)
{
	struct expect *x = arg;
	struct pollfd fds[] = {
		{ .fd = mnl_socket_get_fd(x->monitor), .events = POLLIN },
		{ .fd = x->stop_pipe[0], .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) >= 0 && !fds[1].revents) {
		link_monitor_drain(x->monitor);
		cancel_wake(x->end->cancel);
	}
	return NULL;
}

/* 1 when every tap has joined its bridge. */
static int look_for_taps(struct expect *x, struct err *e)
{
	bool all = true;

	for (size_t i = 0; i < x->end->order.n_pairs; i++) {
		if (x->joined[i])
			continue;
		if (find_tap(x->end, i, &x->taps[i], e) == 0) {
			log_debug("tap %s has joined its bridge", x->taps[i].name);
			x->joined[i] = true;
		} else if (e->kind == ERR_NOT_FOUND) {
			all = false;
		} else {
			return -1;
		}
	}
	return all;
}

static int look_for_guest(void *arg, struct err *e)
{
	struct expect *x = arg;
	struct end *end = x->end;
	int joined = look_for_taps(x, e);

	if (joined <= 0)
		return joined;
	if (!end_is_switching(end) &&
		!virt_event_seen(end->virt, x->mark, VIRT_EVENT_RESUMED, end->order.uuid, NULL))
		return 0;
	for (size_t i = 0; i < end->order.n_pairs; i++)
		if (set_uplink_entry_or_warn(end, i, e) < 0 ||
			(!is_macvtap(end, i) && set_tap_entry(end, i, &x->taps[i], e) < 0))
			return -1;
	return 1;
}

static int watch_and_wait(struct expect *x, struct err *e)
{
	struct end *end = x->end;
	pthread_t thread;
	int r;

	if (pthread_create(&thread, NULL, wake_on_link_news, x))
		return err_set(e, "no thread to watch network devices");
	end->tell(end->tell_arg, "ready", json_object());
	r = cancel_wait(end->cancel, MOVE_LIMIT_MS, EXPECT_POLL_MS, "the guest to arrive",
		look_for_guest, x, e);
	close(x->stop_pipe[1]);
	pthread_join(thread, NULL);
	close(x->stop_pipe[0]);
	return r;
}

/* The journal's part of setting the uplink entries, done before every millisecond counts. */
static int claim_absent_self_entries(struct end *end, struct err *e)
{
	for (size_t i = 0; i < end->order.n_pairs; i++) {
		struct link uplink;
		struct mac mac;
		bool present;

		if (is_macvtap(end, i))
			continue;
		if (pair_mac(end, i, &mac, e) < 0 ||
			link_get(end->nl, end->order.pairs[i].uplink, &uplink, e) < 0 ||
			has_self_entry(end, &mac, uplink.ifindex, &present, e) < 0 ||
			(!present && claim_self_entry(end, i, e) < 0))
			return -1;
	}
	return 0;
}

int standby_expect(struct end *end, struct err *e)
{
	CLEANUP_FREE bool *joined = mem_new(end->order.n_pairs * sizeof(*joined));
	CLEANUP_FREE struct link *taps = mem_new(end->order.n_pairs * sizeof(*taps));
	struct expect x = { .end = end,
		.joined = joined,
		.taps = taps,
		.mark = virt_event_mark(end->virt) };
	int r;

	if (claim_absent_self_entries(end, e) < 0 || link_monitor_open(&x.monitor, e) < 0)
		return -1;
	if (pipe2(x.stop_pipe, O_CLOEXEC) < 0)
		r = err_set_sys(e, errno, "pipe");
	else
		r = watch_and_wait(&x, e);
	mnl_socket_close(x.monitor);
	return r;
}
