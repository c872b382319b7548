/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain.h"

#include <dirent.h>
#include <glob.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"
#include "macvtap.h"
#include "network.h"
#include "nic.h"
#include "world.h"

/* ---- storage ---- */

char *dom_path(const struct dom *d, const char *file)
{
	return world_path("%s/domains/%s/%s", d->host, d->uuid, file);
}

char *dom_read(const struct dom *d, const char *file)
{
	CLEANUP_TEXT char *path = dom_path(d, file);

	return world_read(path);
}

void dom_write(const struct dom *d, const char *file, const char *content)
{
	CLEANUP_TEXT char *dir = dom_path(d, "");
	CLEANUP_TEXT char *path = dom_path(d, file);

	mkdir(dir, 0755);
	world_write(path, content);
}

void dom_remove(const struct dom *d, const char *file)
{
	CLEANUP_TEXT char *path = dom_path(d, file);

	unlink(path);
}

static bool dom_has(const struct dom *d, const char *file)
{
	CLEANUP_TEXT char *path = dom_path(d, file);

	return access(path, F_OK) == 0;
}

static bool dom_load(const char *host, const char *uuid, struct dom *ret)
{
	struct dom d = { 0 };
	CLEANUP_TEXT char *name = NULL;

	snprintf(d.host, sizeof(d.host), "%s", host);
	snprintf(d.uuid, sizeof(d.uuid), "%.36s", uuid);
	name = dom_read(&d, "name");
	if (!name)
		return false;
	snprintf(d.name, sizeof(d.name), "%.*s", (int)strcspn(name, "\n"), name);
	*ret = d;
	return true;
}

size_t dom_list(const char *host, struct dom **ret)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_TEXT char *path = world_path("%s/domains", host);
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	size_t found = 0;

	*ret = calloc(n > 0 ? (size_t)n : 1, sizeof(**ret));
	for (int i = 0; i < n; i++) {
		found += dom_load(host, names[i]->d_name, &(*ret)[found]);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return found;
}

bool dom_find(const char *host, const char *key, bool by_name, struct dom *ret)
{
	struct dom *list;
	size_t n = dom_list(host, &list);
	bool found = false;

	for (size_t i = 0; i < n && !found; i++) {
		found = strcmp(by_name ? list[i].name : list[i].uuid, key) == 0;
		if (found)
			*ret = list[i];
	}
	free(list);
	return found;
}

bool dom_is_active(const struct dom *d)
{
	return dom_has(d, "live.xml");
}

bool dom_is_persistent(const struct dom *d)
{
	return dom_has(d, "inactive.xml");
}

void dom_state(const struct dom *d, int *ret_state, int *ret_reason)
{
	CLEANUP_TEXT char *state = dom_read(d, "state");

	*ret_state = VIR_DOMAIN_SHUTOFF;
	*ret_reason = 0;
	if (state)
		sscanf(state, "%d %d", ret_state, ret_reason);
}

/* For whoever reads the log: at no time may there be two running copies. */
static void note_running_twice(const struct dom *d)
{
	CLEANUP_TEXT char *pattern = world_path("*/domains/%s/state", d->uuid);
	glob_t all = { 0 };
	int running = 0;

	glob(pattern, 0, NULL, &all);
	for (size_t i = 0; i < all.gl_pathc; i++) {
		CLEANUP_TEXT char *state = world_read(all.gl_pathv[i]);

		running += state && atoi(state) == VIR_DOMAIN_RUNNING;
	}
	globfree(&all);
	if (running > 1)
		world_log(d->host, "domain %s runs twice", d->name);
}

void dom_set_state(const struct dom *d, int state, int reason)
{
	CLEANUP_TEXT char *content = text("%d %d\n", state, reason);

	dom_write(d, "state", content);
	world_log(d->host, "domain %s state %d/%d", d->name, state, reason);
	note_running_twice(d);
}

bool dom_autostart(const struct dom *d)
{
	return dom_has(d, "autostart");
}

int dom_job(const struct dom *d)
{
	CLEANUP_TEXT char *job = dom_read(d, "job");

	return job ? atoi(job) : JOB_NONE;
}

void dom_set_job(const struct dom *d, int job)
{
	CLEANUP_TEXT char *content = text("%d\n", job);

	if (job == JOB_NONE)
		dom_remove(d, "job");
	else
		dom_write(d, "job", content);
}

xmlDoc *dom_live(const struct dom *d)
{
	CLEANUP_TEXT char *xml = dom_read(d, "live.xml");

	return xml ? doc_parse(xml) : NULL;
}

void dom_set_live(const struct dom *d, xmlDoc *doc)
{
	CLEANUP_TEXT char *xml = doc_text(doc);

	dom_write(d, "live.xml", xml);
}

/* Removes a domain's directory, which holds plain files only. */
static void forget(const struct dom *d)
{
	CLEANUP_TEXT char *path = dom_path(d, "");
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			dom_remove(d, entry->d_name);
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* ---- views ---- */

static void drop_attr(xmlNode *node, const char *name)
{
	if (node)
		xmlUnsetProp(node, (const xmlChar *)name);
}

static bool attr_starts(xmlNode *node, const char *name, const char *prefix)
{
	CLEANUP_TEXT char *value = node_get(node, name);

	return value && strncmp(value, prefix, strlen(prefix)) == 0;
}

/* What only a running domain has, and what libvirt makes up anew each time. */
static void strip_device(xmlNode *device)
{
	xmlNode *alias = node_child(device, "alias"), *target = node_child(device, "target");

	network_as_given(device);
	if (alias && !attr_starts(alias, "name", "ua-"))
		node_drop(alias);
	if (attr_starts(target, "dev", "vnet") || attr_starts(target, "dev", "macvtap"))
		node_drop(target);
	else
		drop_attr(target, "state");
	drop_attr(node_child(device, "source"), "portid");
	if (node_is(device, "type", "network"))
		drop_attr(node_child(device, "source"), "bridge");
}

static void strip_live(xmlDoc *doc)
{
	xmlNode *devices = doc_devices(doc);

	drop_attr(xmlDocGetRootElement(doc), "id");
	for (xmlNode *d = devices ? devices->children : NULL; d; d = d->next)
		if (d->type == XML_ELEMENT_NODE)
			strip_device(d);
}

static void hide_passwords(xmlDoc *doc)
{
	for (xmlNode *g = node_child(doc_devices(doc), "graphics"); g; g = node_next(g, "graphics"))
		drop_attr(g, "passwd");
}

char *dom_xml(const struct dom *d, unsigned int flags)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	bool inactive =
		!dom_is_active(d) || (flags & VIR_DOMAIN_XML_INACTIVE && dom_is_persistent(d));
	CLEANUP_TEXT char *xml = dom_read(d, inactive ? "inactive.xml" : "live.xml");
	CLEANUP_DOC xmlDoc *doc = xml ? doc_parse(xml) : NULL;

	if (!doc) {
		fail(VIR_ERR_NO_DOMAIN, "no domain with matching uuid '%s' (%s)", d->uuid, d->name);
		return NULL;
	}
	if (flags & (VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_MIGRATABLE))
		strip_live(doc);
	for (xmlNode *v = device_next(doc_devices(doc), NULL); v; v = device_next(NULL, v))
		network_hide_pool(v);
	if (!(flags & VIR_DOMAIN_XML_SECURE))
		hide_passwords(doc);
	return doc_text(doc);
}

/* ---- definition ---- */

static char *child_text(xmlDoc *doc, const char *name)
{
	xmlNode *node = node_child(xmlDocGetRootElement(doc), name);
	xmlChar *content = node ? xmlNodeGetContent(node) : NULL;
	char *copy = content ? strdup((const char *)content) : NULL;

	xmlFree(content);
	return copy;
}

static int parse_domain(const char *xml, xmlDoc **ret_doc, struct dom *ret)
{
	CLEANUP_TEXT char *name = NULL;
	CLEANUP_TEXT char *uuid = NULL;
	xmlDoc *doc = doc_parse(xml);

	if (!doc || !xmlStrEqual(xmlDocGetRootElement(doc)->name, (const xmlChar *)"domain")) {
		doc_free(&doc);
		return fail(VIR_ERR_XML_ERROR, "unexpected root element, expecting <domain>");
	}
	name = child_text(doc, "name");
	uuid = child_text(doc, "uuid");
	if (!name || !uuid) {
		doc_free(&doc);
		return fail(VIR_ERR_XML_ERROR, "missing name or uuid");
	}
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", uuid);
	*ret_doc = doc;
	return 0;
}

/* No two devices may have the same place in the guest. */
static int check_guest_addresses(xmlDoc *doc)
{
	for (xmlNode *a = device_next(doc_devices(doc), NULL); a; a = device_next(NULL, a)) {
		CLEANUP_TEXT char *address = node_pci(node_child(a, "address"));

		for (xmlNode *b = device_next(NULL, a); address && b; b = device_next(NULL, b)) {
			CLEANUP_TEXT char *other = node_pci(node_child(b, "address"));

			if (other && strcmp(address, other) == 0)
				return fail(VIR_ERR_XML_ERROR,
					"Attempted double use of PCI Address %s", address);
		}
	}
	return 0;
}

static int check_name_and_uuid(const struct dom *d)
{
	struct dom other;

	if (dom_find(d->host, d->name, true, &other) && strcmp(other.uuid, d->uuid) != 0)
		return fail(VIR_ERR_OPERATION_FAILED, "domain '%s' already exists with uuid %s",
			d->name, other.uuid);
	if (dom_find(d->host, d->uuid, false, &other) && strcmp(other.name, d->name) != 0)
		return fail(VIR_ERR_OPERATION_FAILED, "domain '%s' is already defined with uuid %s",
			other.name, d->uuid);
	return 0;
}

int dom_define(const char *host, const char *xml, struct dom *ret)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *doc = NULL;
	CLEANUP_TEXT char *content = NULL;
	CLEANUP_TEXT char *name = NULL;
	struct dom d = { 0 };
	bool known;

	snprintf(d.host, sizeof(d.host), "%s", host);
	if (parse_domain(xml, &doc, &d) < 0 || check_guest_addresses(doc) < 0 ||
		check_name_and_uuid(&d) < 0)
		return -1;
	strip_live(doc);
	content = doc_text(doc);
	name = text("%s\n", d.name);
	known = dom_is_persistent(&d);
	if (!dom_is_active(&d) && !known)
		dom_set_state(&d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_UNKNOWN);
	dom_write(&d, "name", name);
	dom_write(&d, "inactive.xml", content);
	world_event(host, d.uuid, "lifecycle %d %d", VIR_DOMAIN_EVENT_DEFINED,
		known ? VIR_DOMAIN_EVENT_DEFINED_UPDATED : VIR_DOMAIN_EVENT_DEFINED_ADDED);
	*ret = d;
	return 0;
}

int dom_undefine(const struct dom *d)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();

	if (!dom_is_persistent(d))
		return fail(VIR_ERR_OPERATION_INVALID, "cannot undefine transient domain");
	dom_remove(d, "inactive.xml");
	dom_remove(d, "autostart");
	if (!dom_is_active(d))
		forget(d);
	world_event(d->host, d->uuid, "lifecycle %d %d", VIR_DOMAIN_EVENT_UNDEFINED,
		VIR_DOMAIN_EVENT_UNDEFINED_REMOVED);
	return 0;
}

/* ---- start, stop ---- */

static void set_alias(xmlNode *device, const char *kind, int *count)
{
	CLEANUP_TEXT char *name = text("%s%d", kind, (*count)++);

	if (!node_child(device, "alias"))
		node_set(node_add(device, "alias"), "name", name);
}

static void set_guest_address(xmlNode *device, int *bus)
{
	CLEANUP_TEXT char *number = NULL;
	xmlNode *address;

	if (node_child(device, "address"))
		return;
	number = text("0x%02x", (*bus)++);
	address = node_add(device, "address");
	node_set(address, "type", "pci");
	node_set(address, "domain", "0x0000");
	node_set(address, "bus", number);
	node_set(address, "slot", "0x00");
	node_set(address, "function", "0x0");
}

static int make_device_live(const char *host, xmlNode *device, int *nics, int *hostdevs, int *bus)
{
	bool is_vf;

	if (node_is(device, "type", "network") && network_plug(host, device) < 0)
		return -1;
	is_vf = node_is(device, "type", "hostdev") ||
		xmlStrEqual(device->name, (const xmlChar *)"hostdev");
	set_alias(device, is_vf ? "hostdev" : "net", is_vf ? hostdevs : nics);
	set_guest_address(device, bus);
	if (is_vf && !node_child(device, "driver"))
		node_set(node_add(device, "driver"), "name", "vfio");
	return 0;
}

static void connect_agent(const char *host, xmlDoc *doc)
{
	for (xmlNode *c = node_child(doc_devices(doc), "channel"); c; c = node_next(c, "channel")) {
		xmlNode *target = node_child(c, "target");

		if (node_is(target, "name", "org.qemu.guest_agent.0"))
			node_set(target, "state",
				world_is(host, "agent", "off") ? "disconnected" : "connected");
	}
}

static int make_live(const char *host, xmlDoc *doc)
{
	int nics = 0, hostdevs = 0, bus = 0x20;

	node_set(xmlDocGetRootElement(doc), "id", "1");
	for (xmlNode *d = device_next(doc_devices(doc), NULL); d; d = device_next(NULL, d))
		if (make_device_live(host, d, &nics, &hostdevs, &bus) < 0)
			return -1;
	connect_agent(host, doc);
	return 0;
}

static void give_back_vfs(const char *host, xmlDoc *live)
{
	for (xmlNode *d = device_next(doc_devices(live), NULL); d; d = device_next(NULL, d)) {
		CLEANUP_TEXT char *address = node_pci(device_source_address(d));
		struct vf vf;

		if (address && vf_find(host, address, &vf) == 0)
			vf_take_from_guest(&vf, node_is(d, "managed", "yes"));
	}
}

static int give_vf(const char *host, xmlNode *device)
{
	CLEANUP_TEXT char *address = node_pci(device_source_address(device));
	CLEANUP_TEXT char *mac = node_get(node_child(device, "mac"), "address");
	struct vf vf;

	if (!address)
		return 0;
	if (vf_find(host, address, &vf) < 0)
		return -1;
	return vf_give_to_guest(&vf, mac, device_vlan(device), node_is(device, "managed", "yes"));
}

static int give_vfs(const char *host, xmlDoc *live)
{
	for (xmlNode *d = device_next(doc_devices(live), NULL); d; d = device_next(NULL, d))
		if (give_vf(host, d) < 0)
			return -1;
	return 0;
}

/* QEMU remembers under which id a standby got its primary. */
static void remember_primaries(const struct dom *d, xmlDoc *live)
{
	for (xmlNode *v = device_next(doc_devices(live), NULL); v; v = device_next(NULL, v)) {
		CLEANUP_TEXT char *standby = node_get(node_child(v, "teaming"), "persistent");
		CLEANUP_TEXT char *alias = node_get(node_child(v, "alias"), "name");
		CLEANUP_TEXT char *file = NULL;

		if (!standby)
			continue;
		file = text("primary.%s", standby);
		dom_write(d, file, alias ? alias : "");
	}
}

static int start_with(const struct dom *d, xmlDoc *live)
{
	if (make_live(d->host, live) < 0)
		return -1;
	if (macvtap_create_all(d, live) < 0 || give_vfs(d->host, live) < 0 ||
		guest_start(d, live) < 0) {
		struct failure first = failure;

		macvtap_remove_all(d, live);
		give_back_vfs(d->host, live);
		failure = first;
		return -1;
	}
	remember_primaries(d, live);
	dom_set_live(d, live);
	return 0;
}

int dom_start(const struct dom *d)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_TEXT char *xml = dom_read(d, "inactive.xml");
	CLEANUP_DOC xmlDoc *doc = doc_parse(xml);

	if (start_with(d, doc) < 0)
		return -1;
	for (xmlNode *v = device_next(doc_devices(doc), NULL); v; v = device_next(NULL, v)) {
		CLEANUP_TEXT char *address = node_pci(device_source_address(v));
		struct vf vf;

		if (address && vf_find(d->host, address, &vf) == 0)
			vf_set_command(&vf, COMMAND_GUEST_DRIVES);
	}
	macvtap_set_all(d, true);
	dom_set_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);
	return 0;
}

static void forget_process(const struct dom *d)
{
	CLEANUP_TEXT char *path = dom_path(d, "");
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "primary.", 8) == 0 ||
			strncmp(entry->d_name, "unplug.", 7) == 0)
			dom_remove(d, entry->d_name);
	if (dir)
		closedir(dir);
}

void dom_stop(const struct dom *d, int reason, int event_detail)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *live = dom_live(d);

	guest_stop(d);
	if (live) {
		macvtap_remove_all(d, live);
		give_back_vfs(d->host, live);
	}
	forget_process(d);
	dom_remove(d, "live.xml");
	dom_set_job(d, JOB_NONE);
	if (dom_is_persistent(d))
		dom_set_state(d, VIR_DOMAIN_SHUTOFF, reason);
	else
		forget(d);
	world_event(d->host, d->uuid, "lifecycle %d %d", VIR_DOMAIN_EVENT_STOPPED, event_detail);
}

int dom_prepare(const char *host, const char *migratable, struct dom *ret)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_DOC xmlDoc *doc = NULL;
	CLEANUP_TEXT char *name = NULL;
	struct dom d = { 0 }, other;

	snprintf(d.host, sizeof(d.host), "%s", host);
	if (parse_domain(migratable, &doc, &d) < 0 || check_name_and_uuid(&d) < 0)
		return -1;
	if (dom_find(host, d.uuid, false, &other) && dom_is_active(&other))
		return fail(VIR_ERR_OPERATION_INVALID, "domain is already active as '%s'",
			other.name);
	name = text("%s\n", d.name);
	dom_write(&d, "name", name);
	if (start_with(&d, doc) < 0) {
		struct failure first = failure;

		if (!dom_is_persistent(&d))
			forget(&d);
		failure = first;
		return -1;
	}
	dom_set_state(&d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION);
	dom_set_job(&d, JOB_IN);
	*ret = d;
	return 0;
}

void dom_announce(const struct dom *d)
{
	guest_announce(d);
}
