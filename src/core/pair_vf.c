/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/pair_vf.h"

#include "agent/lock.h"
#include "net/link.h"
#include "net/pci.h"
#include "util/hwaddr.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/pair.h"

/* ---- reservation ---- */

static int uses_vf(struct virt_domain *d, const char *vf, bool *ret, struct err *e)
{
	CLEANUP_STRINGS struct xml_strings used = { 0 };
	CLEANUP_FREE char *xml = NULL;

	if (virt_domain_xml(d, VIRT_XML_LIVE, &xml, e) < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	/* Somebody else's domain is no reason to do nothing; libvirt knows its VFs. */
	if (xml_host_devices(xml, &used, e) < 0) {
		log_debug("what domain %s uses is not known: %s", virt_domain_name(d), e->msg);
		return 0;
	}
	for (size_t k = 0; k < used.n; k++)
		*ret = *ret || str_equal(used.v[k], vf);
	return 0;
}

int pair_vf_check_address_unused(struct end *end, const char *vf, struct err *e)
{
	struct virt_domain_list list = { 0 };
	int r = virt_domains(end->virt, &list, e);

	for (size_t k = 0; k < list.n && r == 0; k++) {
		enum virt_state state;
		bool used = false;

		r = virt_state_get(end->virt, virt_domain_uuid(list.v[k]), &state, NULL, e);
		if (r < 0 || !virt_state_is_active(state) ||
			str_equal(virt_domain_uuid(list.v[k]), end->order.uuid))
			continue;
		r = uses_vf(list.v[k], vf, &used, e);
		if (r == 0 && used)
			r = err_set_kind(e, ERR_BUSY, "domain %s has taken VF %s meanwhile",
				virt_domain_name(list.v[k]), vf);
	}
	virt_domain_list_free(&list);
	return r;
}

int pair_vf_reserve(struct end *end, size_t i, struct err *e)
{
	const char *vf = end->order.pairs[i].vf;
	CLEANUP_FREE char *name = NULL;
	CLEANUP_FREE char *what = NULL;

	if (!vf || end->pairs[i].vf_lock)
		return 0;
	name = str_printf("vf-%s", vf);
	what = str_printf("VF %s", vf);
	if (lock_take(name, what, end->order.owner, &end->pairs[i].vf_lock, e) < 0)
		return -1;
	/* Between the plan and the lock another run may have come and gone, with the VF. */
	return pair_vf_check_address_unused(end, vf, e);
}

void pair_vf_release(struct end *end, size_t i)
{
	lock_release(end->pairs[i].vf_lock);
	end->pairs[i].vf_lock = NULL;
}

/* ---- as its PF has it ---- */

int pair_vf_find(struct end *end, size_t i, struct pair_vf *ret, struct err *e)
{
	struct link pf;

	if (link_get(end->nl, end->order.pairs[i].pf, &pf, e) < 0)
		return -1;
	*ret = (struct pair_vf){ pf.ifindex, (uint32_t)end->order.pairs[i].vf_index };
	return 0;
}

int pair_vf_read(struct end *end, const struct pair_vf *which, struct vf_info *ret, struct err *e)
{
	CLEANUP_VFS struct vf_list vfs = { 0 };
	const struct vf_info *vf;

	if (vf_list_get(end->nl, which->pf, &vfs, e) < 0)
		return -1;
	vf = vf_list_find(&vfs, which->vf);
	if (!vf)
		return err_set(e, "the PF says nothing about its VF %u", which->vf);
	*ret = *vf;
	return 0;
}

static bool find_address(const struct pci_pf_list *pfs, const struct link *pf, uint32_t vf,
	char ret[PCI_TEXT_SIZE])
{
	for (size_t i = 0; pf && i < pfs->n; i++) {
		const struct pci_pf *p = &pfs->v[i];

		for (size_t k = 0; str_equal(p->netdev, pf->name) && k < p->n_vfs; k++) {
			if (p->vfs[k].index != vf)
				continue;
			pci_format(&p->vfs[k].address, ret);
			return true;
		}
	}
	return false;
}

int pair_vf_check_unused(struct end *end, const struct pair_vf *which, struct err *e)
{
	CLEANUP_LINKS struct link_list links = { 0 };
	CLEANUP_PFS struct pci_pf_list pfs = { 0 };
	char address[PCI_TEXT_SIZE];

	if (link_list_get(end->nl, &links, e) < 0 || pci_pf_list_get(&pfs, e) < 0)
		return -1;
	if (!find_address(&pfs, link_list_by_index(&links, which->pf), which->vf, address))
		return 0;
	return pair_vf_check_address_unused(end, address, e);
}

/* ---- its MAC ---- */

/* The pair's MAC, which VF it is about, and whether that has it. */
static int read_mac(struct end *end, size_t i, struct mac *ret, struct pair_vf *ret_which,
	bool *ret_has, struct err *e)
{
	struct vf_info vf;

	if (end_pair_mac(end, i, ret, e) < 0 || pair_vf_find(end, i, ret_which, e) < 0 ||
		pair_vf_read(end, ret_which, &vf, e) < 0)
		return -1;
	*ret_has = mac_equal(&vf.mac, ret);
	return 0;
}

int pair_vf_has_mac(struct end *end, size_t i, bool *ret, struct err *e)
{
	struct pair_vf which;
	struct mac mac;

	return read_mac(end, i, &mac, &which, ret, e);
}

int pair_vf_clear_mac(struct end *end, size_t i, struct err *e)
{
	struct pair_vf which;
	struct mac mac;
	bool has;

	if (read_mac(end, i, &mac, &which, &has, e) < 0)
		return -1;
	if (!has)
		return 0;
	end->pairs[i].asked = false;
	return vf_clear_mac(end->nl, which.pf, which.vf, &mac, e);
}

int pair_vf_set_mac(struct end *end, size_t i, struct err *e)
{
	const struct pair_order *p = &end->order.pairs[i];
	struct pair_vf which;
	struct mac mac;
	bool has;

	if (read_mac(end, i, &mac, &which, &has, e) < 0 ||
		vf_set_mac(end->nl, which.pf, which.vf, &mac, e) < 0 ||
		read_mac(end, i, &mac, &which, &has, e) < 0)
		return -1;
	return has ? 0 : err_set(e, "VF %s does not have %s after it was set", p->vf, p->mac);
}

void pair_vf_forget_netdev_mac(struct end *end, size_t i)
{
	const struct pair_order *p = &end->order.pairs[i];
	CLEANUP_PFS struct pci_pf_list pfs = { 0 };
	const struct pci_pf *pf;
	const struct pci_vf *vf;
	struct mac mac, fresh;
	struct link l;
	struct err e;

	if (mac_parse(p->mac, &mac) < 0 || pci_pf_list_get(&pfs, &e) < 0 ||
		!pci_find_address(&pfs, p->vf, &pf, &vf) || !*vf->netdev ||
		link_get(end->nl, vf->netdev, &l, &e) < 0 || !mac_equal(&l.mac, &mac) || l.up ||
		l.master)
		return;
	mac_random(&fresh);
	if (link_set_mac(end->nl, vf->netdev, &fresh, &e) < 0)
		log_debug("%s keeps the guest's MAC: %s", vf->netdev, e.msg);
}
