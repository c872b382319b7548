/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/attach.h"

#include <stdlib.h>

#include "core/attr.h"
#include "core/form.h"
#include "core/nic.h"
#include "core/pair_vf.h"
#include "core/primary.h"
#include "core/standby.h"
#include "core/vf_user.h"
#include "net/pci.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"

enum { POLL_MS = 250, TAKE_BACK_MS = 10000, LOOK_AGAIN_MS = 10000, LOOK_FREE_MS = 5000 };

/* Where libvirt leaves the MAC alone it is set before. */
static int ask_to_attach(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_DOMAIN struct virt_domain *d = NULL;

	if (end_domain(end, &d, e) < 0 ||
		(!form_by_name(p->form)->libvirt_sets_mac && pair_vf_set_mac(end, i, e) < 0))
		return -1;
	return virt_device_attach(d, p->primary_xml, e);
}

bool attach_yields_first(const struct end *end, size_t i)
{
	return nic_rule_from_name(end->order.pairs[i].rule) == NIC_DROP_FIRST;
}

/* What the domain has now; libvirt may just be starting anew. */
struct look {
	struct end *end;
	size_t i;
	char *alias, *vf; /* owned; ALIAS NULL: it has none */
};

static int look_again(void *arg, struct err *e)
{
	struct look *x = arg;

	if (virt_ensure(x->end->virt, e) == 0 &&
		primary_find(x->end, x->i, &x->alias, &x->vf, e) == 0)
		return 1;
	return e->kind == ERR_NOT_FOUND ? -1 : 0; /* the guest is gone, or nobody could say */
}

/* Not being able to ask is no evidence. *ret_alias, *ret_vf: as of primary_find. */
static int find_patiently(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e)
{
	struct look x = { .end = end, .i = i };
	int r = look_again(&x, e);

	if (r == 0)
		r = cancel_wait(end->cancel, LOOK_AGAIN_MS, POLL_MS, "libvirt", look_again, &x, e);
	if (r < 0)
		return -1;
	*ret_alias = x.alias;
	*ret_vf = x.vf;
	return 0;
}

/*
 * An attach can fail behind its effect, as when libvirt is started anew meanwhile: what the domain has
 * then is what counts. Its MAC is only taken from a VF that it does not have.
 */
static int attach(struct end *end, size_t i, char **ret_alias, char **ret_vf, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	bool failed = ask_to_attach(end, i, e) < 0;
	struct err now;

	/* Where libvirt hangs it may be long until it can be asked: the standby carries the guest. */
	if (failed && attach_yields_first(end, i))
		standby_path_unyield(end, i);
	if (find_patiently(end, i, ret_alias, ret_vf, &now) < 0) {
		if (!failed)
			*e = now;
		return -1;
	}
	if (*ret_alias && failed) {
		log_warn("%s: VF %s is attached, although that failed: %s", end->order.name,
			*ret_vf, e->msg);
		return standby_path_yield(end, i, YIELD_BEFORE_ATTACH, e);
	}
	if (*ret_alias)
		return 0;
	/* The VF may have had the MAC when the uplink asked for it above, whoever gave it. */
	end->pairs[i].asked = false;
	if (!form_by_name(p->form)->libvirt_sets_mac && pair_vf_clear_mac(end, i, &now) < 0)
		log_warn("%s: VF %s keeps the guest's MAC: %s", end->order.name, p->vf, now.msg);
	return failed ? -1
		      : err_set(e, "VF %s is not in the live definition after it was attached",
				p->vf);
}

/* What the domain has is the pair's VF from now on. */
static int take_note_of(struct end *end, size_t i, const char *vf, struct err *e)
{
	struct pair_order *p = &end->order.pairs[i];
	CLEANUP_PFS struct pci_pf_list pfs = { 0 };
	const struct pci_pf *pf;
	const struct pci_vf *found;

	if (pci_pf_list_get(&pfs, e) < 0)
		return -1;
	if (!pci_find_address(&pfs, vf, &pf, &found))
		return err_set(e, "libvirt gave the domain %s, which is no VF", vf);
	log_debug("the domain has VF %s, not %s", vf, p->vf);
	str_set(&p->vf, vf);
	str_set(&p->pf, pf->netdev);
	p->vf_index = found->index;
	return 0;
}

/* Another VF than the pair's is a network's choice, or that of who started the domain anew. */
static int accept_vf(struct end *end, size_t i, const char *vf, bool had, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	bool by_network = form_by_name(p->form)->libvirt_picks_vf;

	if (str_equal(vf, p->vf))
		return 0;
	if (!had && !by_network)
		return err_set(e, "the domain has VF %s instead of %s", vf, p->vf);
	if (had && !(p->qemu_unplugs && by_network))
		end->pairs[i].given = false;
	/* The one that the guest had is somebody else's from now on. */
	if (!had && end->order.is_source)
		attr_forget(end, i);
	return take_note_of(end, i, vf, e);
}

int attach_vf(struct end *end, size_t i, bool *ret_had, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (primary_find(end, i, &alias, &vf, e) < 0)
		return -1;
	*ret_had = alias;
	if (!alias) {
		/* What libvirt will pick is not known yet, and the one foreseen may be another guest's. */
		if (!form_by_name(end->order.pairs[i].form)->libvirt_picks_vf)
			attr_before_attach(end, i);
		end->pairs[i].given = true;
		end_note_state_of_need(end, i, e);
	}
	if (standby_path_yield(end, i, YIELD_BEFORE_ATTACH, e) < 0 ||
		(!alias && attach(end, i, &alias, &vf, e) < 0))
		return -1;
	if (accept_vf(end, i, vf, *ret_had, e) < 0)
		return -1;
	attr_after_attach(end, i);
	return 0;
}

void attach_take_back(struct end *end, size_t i)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;
	struct err e;

	if (find_patiently(end, i, &alias, &vf, &e) < 0 || !alias)
		return;
	if (primary_detach_alias(end, i, alias, TAKE_BACK_MS, &e) < 0 ||
		pair_vf_clear_mac(end, i, &e) < 0)
		log_warn("%s: VF %s is attached but not used by the guest: %s", end->order.name,
			end->order.pairs[i].vf, e.msg);
}

void attach_leave_as_found(struct end *end, size_t i)
{
	bool attached;
	struct err e;

	if (primary_is_attached(end, i, &attached, &e) < 0 || attached)
		return;
	end->pairs[i].given = false;
	if (attr_restore_beside_guest(end, i, &e) < 0)
		log_warn("%s: %s", end->order.name, e.msg);
}

int attach_check_still(struct end *end, size_t i, struct err *e)
{
	CLEANUP_FREE char *alias = NULL;
	CLEANUP_FREE char *vf = NULL;

	if (find_patiently(end, i, &alias, &vf, e) < 0)
		return -1;
	return alias ? 0 : err_set(e, "the VF left the guest again");
}

struct look_free {
	struct end *end;
	const char *vf; /* borrowed */
	char *user;     /* owned; NULL: nobody */
};

static int look_whether_free(void *arg, struct err *e)
{
	struct look_free *x = arg;

	free(x->user);
	x->user = NULL;
	return vf_user_now(x->end->nl, x->vf, !x->end->order.is_source, &x->user, e) < 0 ? -1
											 : !x->user;
}

/*
 * It was free when the plan was made. One that a driver has just been bound to may have no network device yet,
 * or be given another name. The guest's own VF, back on the host for a moment, may have got an address from
 * whoever configures all that comes (NetworkManager, for one): nobody's reason to keep it.
 */
static int check_host_leaves_it(struct end *end, const char *vf, struct err *e)
{
	struct look_free x = { .end = end, .vf = vf };
	int r = cancel_wait(end->cancel, LOOK_FREE_MS, POLL_MS, "the VF to be free",
		look_whether_free, &x, e);

	if (r < 0 && x.user && e->kind == ERR_TIMEOUT)
		err_set_kind(e, ERR_BUSY, "this host uses VF %s: %s", vf, x.user);
	free(x.user);
	return r;
}

int attach_check_free(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	bool attached;

	if (form_by_name(p->form)->libvirt_picks_vf)
		return 0;
	if (primary_is_attached(end, i, &attached, e) < 0)
		return -1;
	if (attached)
		return 0;
	return pair_vf_check_address_unused(end, p->vf, e) < 0
		       ? -1
		       : check_host_leaves_it(end, p->vf, e);
}
