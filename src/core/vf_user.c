/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/vf_user.h"

#include <stdlib.h>

#include "util/mem.h"
#include "util/str.h"

int vf_user_view_get(struct nl *nl, struct vf_user_view *ret, struct err *e)
{
	struct vf_user_view v = { 0 };

	if (link_list_get(nl, &v.links, e) < 0)
		return -1;
	if (link_with_addresses(nl, &v.addressed, &v.n_addressed, e) < 0) {
		vf_user_view_free(&v);
		return -1;
	}
	*ret = v;
	return 0;
}

void vf_user_view_free(struct vf_user_view *v)
{
	link_list_free(&v->links);
	free(v->addressed);
	*v = (struct vf_user_view){ 0 };
}

static bool has_address(const struct vf_user_view *v, int ifindex)
{
	for (size_t i = 0; i < v->n_addressed; i++)
		if (v->addressed[i] == ifindex)
			return true;
	return false;
}

/* Its number is that of its peer. */
static bool is_one_of_two(const struct link *l)
{
	return str_equal(l->kind, "veth") || str_equal(l->kind, "netkit");
}

static char *user_of_link(const struct vf_user_view *v, const struct link *l)
{
	const struct link *master = l->master ? link_list_by_index(&v->links, l->master) : NULL;

	for (size_t i = v->links.n; i-- > 0;)
		if (v->links.v[i].lower == l->ifindex && !is_one_of_two(&v->links.v[i]))
			return str_printf("%s carries %s", l->name, v->links.v[i].name);
	if (l->master)
		return str_printf("%s is a port of %s", l->name, master ? master->name : "?");
	if (has_address(v, l->ifindex))
		return str_printf("%s has an IP address of this host", l->name);
	return NULL;
}

char *vf_user_of_netdev(const struct vf_user_view *view, const struct pci_vf *vf)
{
	const struct link *l = link_list_by_name(&view->links, vf->netdev);

	if (l)
		return user_of_link(view, l);
	if (!vf->driver[0] || pci_driver_is_vfio(vf->driver))
		return NULL;
	return str_printf("driver %s, but no network device here: another network namespace or "
			  "program has it",
		vf->driver);
}

int vf_user_now(struct nl *nl, const char *address, bool addressed, char **ret, struct err *e)
{
	CLEANUP_VF_USER_VIEW struct vf_user_view view = { 0 };
	CLEANUP_PFS struct pci_pf_list pfs = { 0 };
	const struct pci_pf *pf;
	const struct pci_vf *vf;

	if (vf_user_view_get(nl, &view, e) < 0 || pci_pf_list_get(&pfs, e) < 0)
		return -1;
	if (!addressed)
		view.n_addressed = 0;
	*ret = NULL;
	if (!pci_find_address(&pfs, address, &pf, &vf))
		return 0;
	*ret = vf_user_of_netdev(&view, vf);
	if (!*ret)
		*ret = pci_hidden_user(&vf->address);
	return 0;
}
