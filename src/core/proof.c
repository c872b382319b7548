/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/proof.h"

#include "core/pair_vf.h"
#include "net/link.h"
#include "net/pci.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

enum {
	PROOF_POLL_MS = 20,
	QUIET_POLL_MS = 50,
	QUIET_MS = 1200,            /* no frame from the guest on the standby for that long … */
	QUIET_FRAMES = 20,          /* … after at least so many, and … */
	QUIET_GAPS = 20,            /* … for so many of the usual gaps between them */
	NICS_OF_A_WORKING_PAIR = 3, /* net_failover's master and its two ports */
};

struct proof {
	struct end *end;
	struct pci_address vf;
	struct err why; /* it could not be looked at, the last time; ERR_NONE: it could */
};

static int look_for_driver(void *arg, struct err *e)
{
	struct proof *x = arg;
	char driver[32];
	bool master;

	/* The host's own driver sets the bit as well, once the VF has left the guest. */
	pci_driver(&x->vf, driver, sizeof(driver));
	if (!pci_driver_is_vfio(driver))
		return err_set(e, "the VF is not with the guest any more (driver %s)",
			*driver ? driver : "none");
	/* What does not answer may be in a reset. */
	if (pci_is_bus_master(&x->vf, &master, &x->why) < 0)
		return 0;
	x->why.kind = ERR_NONE;
	return master;
}

bool proof_vf_is_driven(struct end *end, size_t i)
{
	struct proof x = { .end = end };
	bool has_mac;
	struct err ignored;

	return end->order.pairs[i].vf && pci_parse(end->order.pairs[i].vf, &x.vf) == 0 &&
	       look_for_driver(&x, &ignored) == 1 &&
	       pair_vf_has_mac(end, i, &has_mac, &ignored) == 0 && has_mac;
}

int proof_wait_for_driver(struct end *end, size_t i, struct err *e)
{
	struct proof x = { .end = end };

	if (pci_parse(end->order.pairs[i].vf, &x.vf) < 0)
		return err_set(e, "\"%s\" is no PCI address", end->order.pairs[i].vf);
	if (cancel_wait(end->cancel, end->order.proof_ms, PROOF_POLL_MS,
		    "the guest's driver to take the VF", look_for_driver, &x, e) < 0)
		return x.why.kind == ERR_NONE ? -1 : err_prefix(e, "%s", x.why.msg);
	log_debug("VF %s: the guest's driver has set bus master", end->order.pairs[i].vf);
	end->pairs[i].evidence = "bus master set by the guest's driver";
	return 0;
}

static void tap_watch_look(struct end *end, struct tap_watch *w)
{
	struct err ignored;
	struct link tap;
	uint64_t frames;

	if (!w->tap || link_get(end->nl, w->tap, &tap, &ignored) < 0)
		return;
	frames = w->is_macvtap ? tap.tx_packets : tap.rx_packets;
	if (frames != w->last)
		w->changed = clock_ms();
	w->last = frames;
}

void proof_watch_tap(struct end *end, size_t i, struct tap_watch *w)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	const struct xml_pair *pair;
	struct err ignored;

	*w = (struct tap_watch){ .start = clock_ms(), .is_macvtap = !end->order.pairs[i].bridge };
	if (end_live_pair(end, i, &pairs, &pair, &ignored) < 0)
		return;
	w->tap = str_dup(pair ? pair->tap : NULL);
	tap_watch_look(end, w);
	w->first = w->last;
}

static bool tap_fell_silent(const struct tap_watch *w)
{
	int64_t frames = (int64_t)(w->last - w->first), silent = clock_ms() - w->changed;

	if (frames < QUIET_FRAMES)
		return false;
	return silent >= QUIET_MS && silent >= QUIET_GAPS * (w->changed - w->start) / frames;
}

/* Whether the guest is sending by the standby right now, and not just a frame now and then. */
static bool tap_is_busy(const struct tap_watch *w)
{
	return w->last - w->first >= QUIET_FRAMES && clock_ms() - w->changed < QUIET_MS;
}

struct changeover {
	struct end *end;
	struct tap_watch *watch;
	int64_t start;
};

/* A guest seen to send by the standby is given more time to stop it. */
static int look_for_changeover(void *arg, struct err *e)
{
	struct changeover *c = arg;
	int64_t limit = c->end->order.carrier_ms;

	tap_watch_look(c->end, c->watch);
	if (tap_is_busy(c->watch))
		limit *= PROOF_BUSY_FACTOR;
	return tap_fell_silent(c->watch) || clock_ms() >= c->start + limit;
}

int proof_wait_for_changeover(struct end *end, struct tap_watch *w, struct err *e)
{
	struct changeover c = { end, w, clock_ms() };
	int r = cancel_wait(end->cancel, end->order.carrier_ms * PROOF_BUSY_FACTOR, QUIET_POLL_MS,
		"the guest's frames to leave the standby", look_for_changeover, &c, e);

	log_debug("standby: %d frames from the guest, silent for %d ms, waited %d ms",
		(int)(w->last - w->first), (int)(clock_ms() - w->changed),
		(int)(clock_ms() - c.start));
	if (r < 0 && e->kind != ERR_TIMEOUT)
		return -1;
	if (tap_is_busy(w))
		return err_set(e,
			"the guest still sends by its standby %d s after its driver took the VF: has "
			"the VF carrier in the guest?",
			(int)((clock_ms() - c.start) / 1000));
	return 0;
}

void proof_ask_guest_agent(struct end *end, size_t i)
{
	const char *mac = end->order.pairs[i].mac;
	CLEANUP_DOMAIN struct virt_domain *d = NULL;
	CLEANUP_FREE char *xml = NULL;
	struct err ignored;
	int nics;

	if (end_live_xml(end, &xml, &ignored) < 0 || !xml_agent_connected(xml) ||
		end_domain(end, &d, &ignored) < 0)
		return;
	if (virt_guest_nics(d, mac, &nics, &ignored) < 0)
		log_warn("%s: the guest agent did not answer: %s", end->order.name, ignored.msg);
	else if (nics >= NICS_OF_A_WORKING_PAIR)
		end->pairs[i].evidence = "guest agent: three interfaces with the MAC";
	else
		log_warn(
			"%s: the guest agent reports %d interfaces with %s instead of three: does the "
			"guest run net_failover?",
			end->order.name, nics, mac);
}
