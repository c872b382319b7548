/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices of running domains. The settings that make things go wrong:
 *   detach=never       the guest ignores the request (without any event, as on x86)
 *   detach=late        likewise, where QEMU asks it: it obeys when that was given up
 *   detach=refused     the guest refuses, with an event
 *   detach=unplugging  "already in the process of unplug", and it completes all the same
 *   detach=busy        "guest is busy" the first time, works the next time
 *   detach=lost        completes, but the event gets lost
 *   detach=error       libvirt refuses
 *   detach.late_ms     how much later that is
 *   detach.ms          how long the guest takes
 *   attach=error       libvirt refuses
 *   attach.ms          how long the call takes
 *   drive=never        the guest's driver does not take the VF
 *   drive.ms           how long it takes
 *   update=error, update=deaf (agrees and changes nothing)
 *   language=de        the language of libvirt's daemon
 */
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain.h"
#include "network.h"
#include "nic.h"
#include "world.h"

enum { DETACH_MS = 40, ATTACH_MS = 20, DRIVE_MS = 40, UNPLUG_MS = 5000 };

static int check_modifiable(const struct dom *d)
{
	if (!dom_is_active(d))
		return fail(VIR_ERR_OPERATION_INVALID, "domain is not running");
	if (dom_job(d) != JOB_NONE && dom_job(d) != JOB_BACKUP)
		return fail(VIR_ERR_OPERATION_TIMEOUT,
			"cannot acquire state change lock (held by "
			"monitor=remoteDispatchDomainMigratePerform3Params)");
	return 0;
}

/* ---- attach ---- */

static int check_vf_unused(const struct dom *d, const char *address)
{
	struct dom *list;
	size_t n = dom_list(d->host, &list);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		CLEANUP_DOC xmlDoc *live = dom_live(&list[i]);
		xmlNode *v = live ? device_next(doc_devices(live), NULL) : NULL;

		for (; v && r == 0; v = device_next(NULL, v)) {
			CLEANUP_TEXT char *other = node_pci(device_source_address(v));

			if (other && strcmp(other, address) == 0)
				r = fail(VIR_ERR_OPERATION_INVALID,
					"PCI device %s is in use by driver QEMU, domain %s",
					address, list[i].name);
		}
	}
	free(list);
	return r;
}

/* QEMU's own text is never translated. */
static int fail_by_qemu(const struct dom *d, const char *command, const char *what)
{
	CLEANUP_TEXT char *german =
		text("Interner Fehler: QEMU-Befehl '%s' kann nicht ausgeführt werden: %s", command,
			what);

	if (world_is(d->host, "language", "de"))
		return fail_as_is(VIR_ERR_INTERNAL_ERROR, german);
	return fail(VIR_ERR_INTERNAL_ERROR, "unable to execute QEMU command '%s': %s", command,
		what);
}

static int check_alias(const struct dom *d, xmlDoc *live, const char *alias, const char *standby)
{
	CLEANUP_TEXT char *file = text("primary.%s", standby);
	CLEANUP_TEXT char *before = dom_read(d, file);

	if (device_by_alias(live, alias))
		return fail(VIR_ERR_XML_ERROR, "non unique alias detected: %s", alias);
	if (before && *before && strcmp(before, alias) != 0)
		return fail(VIR_ERR_INTERNAL_ERROR,
			"unable to execute QEMU command 'device_add': Cannot attach more than one "
			"primary device to '%s': '%s' and '%s'",
			standby, before, alias);
	dom_write(d, file, alias);
	return 0;
}

static int check_guest_address(xmlDoc *live, xmlNode *device)
{
	CLEANUP_TEXT char *address = node_pci(node_child(device, "address"));

	for (xmlNode *v = device_next(doc_devices(live), NULL); address && v;
		v = device_next(NULL, v)) {
		CLEANUP_TEXT char *other = node_pci(node_child(v, "address"));

		if (other && strcmp(other, address) == 0)
			return fail(VIR_ERR_XML_ERROR, "Attempted double use of PCI Address %s",
				address);
	}
	return 0;
}

/* The next number behind the highest there is, as qemuAssignDeviceHostdevAlias has it. */
static void ensure_alias(xmlDoc *live, xmlNode *device)
{
	CLEANUP_TEXT char *alias = NULL;
	int next = 0, number;

	if (node_child(device, "alias"))
		return;
	for (xmlNode *i = doc_devices(live)->children; i; i = i->next) {
		CLEANUP_TEXT char *name = node_get(node_child(i, "alias"), "name");

		if (name && sscanf(name, "hostdev%d", &number) == 1 && number >= next)
			next = number + 1;
	}
	alias = text("hostdev%d", next);
	node_set(node_add(device, "alias"), "name", alias);
}

static void ensure_guest_address(xmlNode *device)
{
	xmlNode *address = node_child(device, "address");

	if (address)
		return;
	address = node_add(device, "address");
	node_set(address, "type", "pci");
	node_set(address, "domain", "0x0000");
	node_set(address, "bus", "0x2f");
	node_set(address, "slot", "0x00");
	node_set(address, "function", "0x0");
}

static void spawn(const char *what, const struct dom *d, const char *alias)
{
	char *argv[] = { (char *)"fake-host", (char *)what, (char *)d->host, (char *)d->uuid,
		(char *)alias, NULL };

	world_spawn(argv, -1);
}

static int plug(const struct dom *d, xmlDoc *live, xmlNode *device)
{
	CLEANUP_TEXT char *standby = node_get(node_child(device, "teaming"), "persistent");
	CLEANUP_TEXT char *mac = node_get(node_child(device, "mac"), "address");
	CLEANUP_TEXT char *address = NULL;
	CLEANUP_TEXT char *alias = NULL;
	struct vf vf;

	if (node_is(device, "type", "network") && network_plug(d->host, device) < 0)
		return -1;
	address = node_pci(device_source_address(device));
	if (!address)
		return fail(VIR_ERR_XML_ERROR, "missing source address");
	if (vf_find(d->host, address, &vf) < 0 || check_vf_unused(d, address) < 0 ||
		check_guest_address(live, device) < 0)
		return -1;
	ensure_alias(live, device);
	ensure_guest_address(device);
	alias = node_get(node_child(device, "alias"), "name");
	if (check_alias(d, live, alias, standby ? standby : "") < 0 ||
		vf_give_to_guest(&vf, mac, device_vlan(device), node_is(device, "managed", "yes")) <
			0)
		return -1;
	if (!node_child(device, "driver"))
		node_set(node_add(device, "driver"), "name", "vfio");
	xmlAddChild(doc_devices(live), xmlDocCopyNode(device, live, 1));
	dom_set_live(d, live);
	world_event(d->host, d->uuid, "added %s", alias);
	spawn("drive", d, alias);
	return 0;
}

static int attach_locked(const struct dom *d, xmlNode *device)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);

	if (check_modifiable(d) < 0)
		return -1;
	return plug(d, live, device);
}

int dom_attach(const struct dom *d, const char *xml)
{
	CLEANUP_DOC xmlDoc *doc = doc_parse(xml);
	xmlNode *device = doc ? xmlDocGetRootElement(doc) : NULL;

	if (!device || (!xmlStrEqual(device->name, (const xmlChar *)"interface") &&
			       !xmlStrEqual(device->name, (const xmlChar *)"hostdev")))
		return fail(VIR_ERR_XML_ERROR, "unknown device type");
	if (world_is(d->host, "attach", "error"))
		return fail_by_qemu(d, "device_add", "vfio: error getting group");
	sleep_ms(world_number(d->host, "attach.ms", ATTACH_MS));
	return attach_locked(d, device);
}

void dom_guest_drives(const struct dom *d, const char *alias)
{
	CLEANUP_TEXT char *address = NULL;
	struct vf vf;

	sleep_ms(world_number(d->host, "drive.ms", DRIVE_MS));
	if (world_is(d->host, "drive", "never"))
		return;
	{
		CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
		CLEANUP_DOC xmlDoc *live = dom_live(d);
		xmlNode *device = live ? device_by_alias(live, alias) : NULL;

		address = device ? node_pci(device_source_address(device)) : NULL;
		if (!address || vf_find(d->host, address, &vf) < 0)
			return;
		vf_set_command(&vf, COMMAND_GUEST_DRIVES);
		world_log(d->host, "guest %s drives %s", d->name, address);
	}
	world_hook("driven");
}

bool device_is_driven(const struct dom *d, xmlNode *device)
{
	CLEANUP_TEXT char *address = node_pci(device_source_address(device));
	struct vf vf;

	return address && vf_find(d->host, address, &vf) == 0 &&
	       vf_get_command(&vf) == COMMAND_GUEST_DRIVES;
}

/* ---- detach ---- */

static bool is_unplugging(const struct dom *d, const char *alias)
{
	CLEANUP_TEXT char *file = text("unplug.%s", alias);
	CLEANUP_TEXT char *since = dom_read(d, file);

	return since && atoll(since) + UNPLUG_MS > now_ms();
}

static void note_unplug(const struct dom *d, const char *alias)
{
	CLEANUP_TEXT char *file = text("unplug.%s", alias);
	CLEANUP_TEXT char *now = text("%lld\n", (long long)now_ms());

	dom_write(d, file, now);
}

static int refuse_unplugging(const struct dom *d, const char *alias)
{
	CLEANUP_TEXT char *what = text("Device %s is already in the process of unplug", alias);

	return fail_by_qemu(d, "device_del", what);
}

int dom_detach(const struct dom *d, const char *alias)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);

	if (check_modifiable(d) < 0)
		return -1;
	if (!device_by_alias(live, alias))
		return fail(VIR_ERR_DEVICE_MISSING, "no device found with alias %s", alias);
	if (world_is(d->host, "detach", "error"))
		return fail_by_qemu(d, "device_del", "Bus 'pci.5' does not support hotplugging");
	if (is_unplugging(d, alias))
		return refuse_unplugging(d, alias);
	if (world_is(d->host, "detach", "busy")) {
		CLEANUP_TEXT char *path = world_path("set/detach");

		world_write(path, ""); /* the next request works */
		return fail_by_qemu(d, "device_del",
			"Hot-unplug failed: guest is busy (power indicator blinking)");
	}
	note_unplug(d, alias);
	if (!world_is(d->host, "detach", "never"))
		spawn("undo-plug", d, alias);
	return world_is(d->host, "detach", "unplugging") ? refuse_unplugging(d, alias) : 0;
}

static bool unplug(const struct dom *d, const char *alias)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	xmlNode *device = live ? device_by_alias(live, alias) : NULL;
	CLEANUP_TEXT char *file = text("unplug.%s", alias);
	CLEANUP_TEXT char *address = NULL;
	struct vf vf;
	bool managed;

	if (!device)
		return false;
	managed = node_is(device, "managed", "yes");
	address = node_pci(device_source_address(device));
	xmlUnlinkNode(device);
	xmlFreeNode(device);
	dom_set_live(d, live);
	dom_remove(d, file);
	if (address && vf_find(d->host, address, &vf) == 0)
		vf_take_from_guest(&vf, managed);
	return true;
}

void dom_obey_late(const struct dom *d, const char *alias)
{
	sleep_ms(world_number(d->host, "detach.late_ms", 1000));
	dom_finish_detach(d, alias);
}

void dom_finish_detach(const struct dom *d, const char *alias)
{
	sleep_ms(world_number(d->host, "detach.ms", DETACH_MS));
	if (world_is(d->host, "detach", "refused")) {
		CLEANUP_TEXT char *file = text("unplug.%s", alias);

		dom_remove(d, file);
		world_event(d->host, d->uuid, "removal-failed %s", alias);
		return;
	}
	if (!unplug(d, alias))
		return;
	if (!world_is(d->host, "detach", "lost"))
		world_event(d->host, d->uuid, "removed %s", alias);
	world_hook("detached");
}

/* ---- by QEMU itself ---- */

/* The next device behind AFTER (NULL: the first) that is a primary, and its VF. */
static xmlNode *next_primary(const struct dom *d, xmlDoc *live, xmlNode *after, struct vf *ret)
{
	xmlNode *i = device_next(after ? NULL : doc_devices(live), after);

	for (; i; i = device_next(NULL, i)) {
		CLEANUP_TEXT char *address = node_pci(device_source_address(i));

		if (address && node_is(node_child(i, "teaming"), "type", "transient") &&
			vf_find(d->host, address, ret) == 0)
			return i;
	}
	return NULL;
}

bool dom_lets_primaries_go(const struct dom *d)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	struct vf vf;

	if (live && next_primary(d, live, NULL, &vf) &&
		(world_is(d->host, "detach", "never") || world_is(d->host, "detach", "late")))
		return false;
	for (xmlNode *i = live ? next_primary(d, live, NULL, &vf) : NULL; i;
		i = next_primary(d, live, i, &vf)) {
		vf_set_command(&vf, COMMAND_RESET);
		world_log(d->host, "guest %s lets %s go", d->name, vf.address);
	}
	return true;
}

int dom_count_primaries(const struct dom *d)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	struct vf vf;
	int n = 0;

	for (xmlNode *i = live ? next_primary(d, live, NULL, &vf) : NULL; i;
		i = next_primary(d, live, i, &vf))
		n++;
	return n;
}

void dom_lets_primaries_go_late(const struct dom *d)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	struct vf vf;

	for (xmlNode *i = live ? next_primary(d, live, NULL, &vf) : NULL;
		i && world_is(d->host, "detach", "late"); i = next_primary(d, live, i, &vf)) {
		CLEANUP_TEXT char *alias = node_get(node_child(i, "alias"), "name");

		spawn("obey-late", d, alias);
	}
}

void dom_drives_primaries(const struct dom *d)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	struct vf vf;

	for (xmlNode *i = live ? next_primary(d, live, NULL, &vf) : NULL; i;
		i = next_primary(d, live, i, &vf)) {
		CLEANUP_TEXT char *alias = node_get(node_child(i, "alias"), "name");

		if (vf_get_command(&vf) != COMMAND_GUEST_DRIVES)
			spawn("drive", d, alias);
	}
}

/* ---- update ---- */

static bool same_if_both(xmlNode *a, xmlNode *b, const char *child, const char *attr)
{
	CLEANUP_TEXT char *x = node_get(node_child(a, child), attr);
	CLEANUP_TEXT char *y = node_get(node_child(b, child), attr);

	return !x || !y || strcmp(x, y) == 0;
}

/* As libvirt matches a NIC: MAC, guest address and alias, as far as both sides have them. */
static int find_nic(xmlDoc *live, xmlNode *wanted, xmlNode **ret)
{
	CLEANUP_TEXT char *mac = node_get(node_child(wanted, "mac"), "address");
	CLEANUP_TEXT char *address = node_pci(node_child(wanted, "address"));

	*ret = NULL;
	for (xmlNode *i = node_child(doc_devices(live), "interface"); i;
		i = node_next(i, "interface")) {
		CLEANUP_TEXT char *own = node_pci(node_child(i, "address"));

		if (!mac || !node_is(node_child(i, "mac"), "address", mac) ||
			!same_if_both(i, wanted, "alias", "name") ||
			(address && own && strcmp(address, own) != 0))
			continue;
		if (*ret)
			return fail(VIR_ERR_OPERATION_FAILED,
				"multiple devices matching MAC address %s found", mac);
		*ret = i;
	}
	if (!*ret)
		return fail(VIR_ERR_DEVICE_MISSING, "no device matching MAC address %s found",
			mac ? mac : "?");
	return 0;
}

static int check_update(xmlNode *old, xmlNode *new)
{
	CLEANUP_TEXT char *had = node_get(node_child(old, "model"), "type");
	CLEANUP_TEXT char *has = node_get(node_child(new, "model"), "type");

	if (node_is(old, "type", "hostdev"))
		return fail(VIR_ERR_OPERATION_UNSUPPORTED,
			"cannot change config of 'hostdev' network type");
	if (!had || !has || strcmp(had, has) != 0)
		return fail(VIR_ERR_OPERATION_UNSUPPORTED,
			"cannot modify network device model from %s to %s", had ? had : "(null)",
			has ? has : "rtl8139");
	if (!same_if_both(old, new, "target", "dev"))
		return fail(VIR_ERR_OPERATION_UNSUPPORTED, "cannot modify network device tap name");
	return 0;
}

/* What libvirt fills in from the device as it is. All else is taken from the new XML. */
static void keep_old(xmlNode *old, xmlNode *new)
{
	static const char *const kept[] = { "target", "alias", "address" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		xmlNode *had = node_child(old, kept[i]);

		if (had && !node_child(new, kept[i]))
			xmlAddChild(new, xmlDocCopyNode(had, new->doc, 1));
	}
	if (node_is(new, "type", "network") && node_is(old, "type", "direct")) {
		CLEANUP_TEXT char *lower = node_get(node_child(old, "source"), "dev");
		CLEANUP_TEXT char *mode = node_get(node_child(old, "source"), "mode");

		node_set(new, "type", "direct");
		node_set(node_child(new, "source"), "dev", lower);
		node_set(node_child(new, "source"), "mode", mode);
	} else if (node_is(new, "type", "network")) {
		CLEANUP_TEXT char *bridge = node_get(node_child(old, "source"), "bridge");
		CLEANUP_TEXT char *port =
			text("00000000-0000-4000-8000-%012llx", (long long)now_ms());

		node_set(node_child(new, "source"), "bridge", bridge ? bridge : "");
		node_set(node_child(new, "source"), "portid", port);
	}
}

int dom_update(const struct dom *d, const char *xml)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *doc = doc_parse(xml);
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	CLEANUP_TEXT char *link = NULL;
	xmlNode *new = doc ? xmlDocGetRootElement(doc) : NULL, *old;

	if (!new || !xmlStrEqual(new->name, (const xmlChar *)"interface"))
		return fail(VIR_ERR_XML_ERROR, "unknown device type");
	if (check_modifiable(d) < 0 || find_nic(live, new, &old) < 0 || check_update(old, new) < 0)
		return -1;
	if (world_is(d->host, "update", "error"))
		return fail_by_qemu(d, "set_link", "failed");
	link = node_get(node_child(new, "link"), "state");
	world_log(d->host, "standby link %s%s", link ? link : "up",
		node_child(new, "teaming") ? "" : " WITHOUT TEAMING");
	if (world_is(d->host, "update", "deaf"))
		return 0;
	keep_old(old, new);
	xmlReplaceNode(old, xmlDocCopyNode(new, live, 1));
	xmlFreeNode(old);
	dom_set_live(d, live);
	return 0;
}
