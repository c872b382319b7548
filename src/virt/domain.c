/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/log.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/priv.h"

static const char *const state_names[] = {
	[VIRT_ABSENT] = "absent",
	[VIRT_OFF] = "shut off",
	[VIRT_MIGRATED] = "shut off (migrated)",
	[VIRT_ENDED] = "shut down",
	[VIRT_RUNNING] = "running",
	[VIRT_PAUSED] = "paused",
	[VIRT_MIGRATING] = "paused (migrating)",
	[VIRT_CRASHED] = "crashed",
};

const char *virt_state_name(enum virt_state s)
{
	return state_names[s];
}

enum virt_state virt_state_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++)
		if (str_equal(name, state_names[i]))
			return (enum virt_state)i;
	return VIRT_CRASHED;
}

bool virt_state_is_active(enum virt_state s)
{
	return s == VIRT_RUNNING || s == VIRT_PAUSED || s == VIRT_MIGRATING || s == VIRT_CRASHED;
}

static struct virt_domain *wrap(struct virt *v, virDomainPtr dom)
{
	struct virt_domain *d = mem_new(sizeof(*d));

	d->dom = dom;
	d->virt = v;
	d->name = str_dup(virDomainGetName(dom));
	virDomainGetUUIDString(dom, d->uuid);
	return d;
}

void virt_domain_free(struct virt_domain *d)
{
	if (!d)
		return;
	virDomainFree(d->dom);
	free(d->name);
	free(d);
}

void virt_domain_cleanup(struct virt_domain **d)
{
	virt_domain_free(*d);
}

const char *virt_domain_name(const struct virt_domain *d)
{
	return d->name;
}

const char *virt_domain_uuid(const struct virt_domain *d)
{
	return d->uuid;
}

int virt_domains(struct virt *v, struct virt_domain_list *ret, struct err *e)
{
	struct virt_domain_list list = { 0 };
	virDomainPtr *doms = NULL;
	int n = virConnectListAllDomains(v->conn, &doms, 0);

	if (n < 0)
		return virt_err(e, "list of domains");
	for (int i = 0; i < n; i++)
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): it is a list of pointers */
		*(struct virt_domain **)mem_append(&list.v, &list.n, sizeof(*list.v)) =
			wrap(v, doms[i]);
	free(doms);
	*ret = list;
	return 0;
}

void virt_domain_list_free(struct virt_domain_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		virt_domain_free(l->v[i]);
	free(l->v);
	*l = (struct virt_domain_list){ 0 };
}

int virt_domain_by_uuid(struct virt *v, const char *uuid, struct virt_domain **ret, struct err *e)
{
	virDomainPtr dom = virDomainLookupByUUIDString(v->conn, uuid);

	if (!dom)
		return virt_err(e, "domain %s", uuid);
	*ret = wrap(v, dom);
	return 0;
}

int virt_domain_find(struct virt *v, const char *key, struct virt_domain **ret, struct err *e)
{
	virDomainPtr dom = virDomainLookupByName(v->conn, key);

	if (!dom) {
		const virError *last = virGetLastError();

		if (!last || last->code != VIR_ERR_NO_DOMAIN)
			return virt_err(e, "domain %s", key);
		virResetLastError();
		dom = virDomainLookupByUUIDString(v->conn, key);
	}
	if (!dom) {
		virResetLastError();
		return err_set_kind(e, ERR_NOT_FOUND, "there is no domain \"%s\"", key);
	}
	*ret = wrap(v, dom);
	return 0;
}

/* An incoming guest is "starting up" before it is "migrating"; post-copy can be begun by others. */
static bool is_between_hosts(int paused_reason)
{
	return paused_reason == VIR_DOMAIN_PAUSED_MIGRATION ||
	       paused_reason == VIR_DOMAIN_PAUSED_STARTING_UP ||
	       paused_reason == VIR_DOMAIN_PAUSED_POSTCOPY ||
	       paused_reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED;
}

static enum virt_state classify_off(int reason)
{
	switch (reason) {
	case VIR_DOMAIN_SHUTOFF_MIGRATED:
		return VIRT_MIGRATED;
	case VIR_DOMAIN_SHUTOFF_SHUTDOWN:
	case VIR_DOMAIN_SHUTOFF_SAVED:
		return VIRT_ENDED;
	default: /* what libvirt says of an incoming guest that failed is among these */
		return VIRT_OFF;
	}
}

static enum virt_state classify(int state, int reason)
{
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
		return VIRT_RUNNING;
	case VIR_DOMAIN_PAUSED:
		return is_between_hosts(reason) ? VIRT_MIGRATING : VIRT_PAUSED;
	case VIR_DOMAIN_SHUTOFF:
		return classify_off(reason);
	case VIR_DOMAIN_PMSUSPENDED:
		return VIRT_PAUSED;
	default:
		return VIRT_CRASHED;
	}
}

static int absent_or_error(const char *uuid, enum virt_state *ret, struct err *e)
{
	virt_err(e, "state of domain %s", uuid);
	if (e->kind != ERR_NOT_FOUND)
		return -1;
	*ret = VIRT_ABSENT;
	return 0;
}

/* *RET_MIGRATES: it is a migration, from here or to here. */
static int look_at_job(struct virt *v, virDomainPtr dom, bool *ret_runs, bool *ret_migrates,
	struct err *e)
{
	int type, n = 0, operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
	virTypedParameterPtr params = NULL;

	*ret_runs = *ret_migrates = false;
	if (virDomainGetJobStats(dom, &type, &params, &n, 0) < 0) {
		const virError *last = virGetLastError();
		bool is_unknown = last && last->code == VIR_ERR_OPERATION_TIMEOUT;

		/* Else the domain does not run (any more), or comes in, which its state shows. */
		virt_err(e, "job of %s", virDomainGetName(dom));
		return is_unknown || virConnectIsAlive(v->conn) != 1 ? -1 : 0;
	}
	virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
	virTypedParamsFree(params, n);
	*ret_runs = type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED;
	*ret_migrates = *ret_runs && (operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT ||
					     operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN);
	return 0;
}

int virt_domain_has_job(struct virt_domain *d, bool *ret, struct err *e)
{
	bool ignored;

	return look_at_job(d->virt, d->dom, ret, &ignored, e);
}

int virt_state_get(struct virt *v, const char *uuid, enum virt_state *ret, bool *ret_job,
	struct err *e)
{
	virDomainPtr dom = virDomainLookupByUUIDString(v->conn, uuid);
	int state, reason = 0, r;
	bool any;

	if (ret_job)
		*ret_job = false;
	if (!dom)
		return absent_or_error(uuid, ret, e);
	/* First: a migration that ends in between would else look like a guest that runs without one. */
	if (ret_job && look_at_job(v, dom, &any, ret_job, e) < 0) {
		virDomainFree(dom);
		return -1;
	}
	r = virDomainGetState(dom, &state, &reason, 0);
	if (r == 0)
		*ret = classify(state, reason);
	else
		r = absent_or_error(uuid, ret, e);
	virDomainFree(dom);
	return r < 0 ? -1 : 0;
}

int virt_was_turned_back(struct virt *v, const char *uuid, bool *ret, struct err *e)
{
	virDomainPtr dom = virDomainLookupByUUIDString(v->conn, uuid);
	int state = 0, reason = 0, r = dom ? virDomainGetState(dom, &state, &reason, 0) : -1;

	*ret = r == 0 && state == VIR_DOMAIN_RUNNING &&
	       reason == VIR_DOMAIN_RUNNING_MIGRATION_CANCELED;
	if (r < 0)
		virt_err(e, "state of domain %s", uuid);
	if (dom)
		virDomainFree(dom);
	return r;
}

bool virt_domain_has_block_job(const struct virt_domain *d, const char *disk)
{
	virDomainBlockJobInfo info;

	return virDomainGetBlockJobInfo(d->dom, disk, &info, 0) > 0;
}

int virt_domain_snapshots(const struct virt_domain *d)
{
	int n = virDomainSnapshotNum(d->dom, 0);

	return n < 0 ? 0 : n;
}

bool virt_domain_is_saved(const struct virt_domain *d)
{
	return virDomainHasManagedSaveImage(d->dom, 0) > 0;
}

int virt_domain_is_persistent(struct virt_domain *d, bool *ret, struct err *e)
{
	int r = virDomainIsPersistent(d->dom);

	if (r < 0)
		return virt_err(e, "domain %s", d->name);
	*ret = r;
	return 0;
}

int virt_domain_get_autostart(struct virt_domain *d, bool *ret, struct err *e)
{
	int on;

	if (virDomainGetAutostart(d->dom, &on) < 0)
		return virt_err(e, "autostart of %s", d->name);
	*ret = on;
	return 0;
}

int virt_domain_set_autostart(struct virt_domain *d, bool on, struct err *e)
{
	bool now = !on;

	log_debug("libvirt: autostart of %s %s", d->name, on ? "on" : "off");
	if (virDomainSetAutostart(d->dom, on) < 0)
		return virt_err(e, "set autostart of %s", d->name);
	if (virt_domain_get_autostart(d, &now, e) < 0)
		return -1;
	if (now != on)
		return err_set(e, "autostart of %s did not change", d->name);
	return 0;
}

int virt_domain_xml(struct virt_domain *d, enum virt_xml which, char **ret, struct err *e)
{
	static const unsigned int flags[] = {
		[VIRT_XML_LIVE] = 0,
		[VIRT_XML_MIGRATABLE] = VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE,
		[VIRT_XML_INACTIVE] = VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE,
	};
	char *xml = virDomainGetXMLDesc(d->dom, flags[which]);

	if (!xml)
		return virt_err(e, "definition of %s", d->name);
	*ret = xml;
	return 0;
}

int virt_define(struct virt *v, const char *xml, struct err *e)
{
	virDomainPtr dom;

	log_debug("libvirt: define a domain");
	dom = virDomainDefineXMLFlags(v->conn, xml, 0);
	if (!dom)
		return virt_err(e, "definition of the domain");
	virDomainFree(dom);
	return 0;
}

/* QEMU's and libvirt's words for "the unplug was asked for before and is still going on". */
static bool means_wait(const virError *last)
{
	static const char *const texts[] = { "already in the process of unplug",
		"power indicator blinking", "Hot-unplug failed: guest is busy" };

	for (size_t i = 0; last && last->message && i < ARRAY_SIZE(texts); i++)
		if (strstr(last->message, texts[i]))
			return true;
	return false;
}

/*
 * What QEMU has refused comes as "internal error: unable to execute QEMU command 'device_del': …", in the
 * language of the daemon, which leaves the command's name as it is (qemuMonitorJSONCheckErrorFull).
 */
static bool is_qemus(const virError *last)
{
	return last->message && strstr(last->message, "device_del");
}

/* Not so when the connection or the monitor broke, or time ran out in the middle. */
static bool is_refusal(const virError *last)
{
	if (!last)
		return false;
	switch (last->code) {
	case VIR_ERR_INTERNAL_ERROR:
		return is_qemus(last);
	case VIR_ERR_OPERATION_TIMEOUT:
	case VIR_ERR_OPERATION_FAILED:
	case VIR_ERR_RPC:
	case VIR_ERR_SYSTEM_ERROR:
		return false;
	default:
		return true;
	}
}

int virt_device_detach(struct virt_domain *d, const char *alias, bool *ret_refused, struct err *e)
{
	log_debug("libvirt: detach %s from %s, live", alias, d->name);
	if (virDomainDetachDeviceAlias(d->dom, alias, VIR_DOMAIN_AFFECT_LIVE) == 0)
		return 0;
	if (means_wait(virGetLastError())) {
		virResetLastError();
		return 1;
	}
	*ret_refused = is_refusal(virGetLastError());
	return virt_err(e, "detach of device %s", alias);
}

int virt_device_attach(struct virt_domain *d, const char *device_xml, struct err *e)
{
	log_debug("libvirt: attach to %s, live: %s", d->name, device_xml);
	if (virDomainAttachDeviceFlags(d->dom, device_xml, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return virt_err(e, "attach of the VF");
	log_debug("libvirt: attach done");
	return 0;
}

int virt_device_update(struct virt_domain *d, const char *device_xml, struct err *e)
{
	log_debug("libvirt: update a device of %s, live: %s", d->name, device_xml);
	if (virDomainUpdateDeviceFlags(d->dom, device_xml, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return virt_err(e, "update of the standby");
	return 0;
}

int virt_domain_resume(struct virt_domain *d, struct err *e)
{
	log_debug("libvirt: resume %s", d->name);
	return virDomainResume(d->dom) < 0 ? virt_err(e, "resume of %s", d->name) : 0;
}

int virt_domain_suspend(struct virt_domain *d, struct err *e)
{
	log_debug("libvirt: suspend %s", d->name);
	return virDomainSuspend(d->dom) < 0 ? virt_err(e, "suspend of %s", d->name) : 0;
}

int virt_domain_destroy(struct virt_domain *d, struct err *e)
{
	log_debug("libvirt: destroy %s", d->name);
	return virDomainDestroy(d->dom) < 0 ? virt_err(e, "destroy of %s", d->name) : 0;
}
