/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xml/domain.h"

#include <stdlib.h>
#include <unistd.h>

#include "util/hwaddr.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/tree.h"

void xml_needs_free(struct xml_needs *n)
{
	free(n->virt_type);
	free(n->arch);
	free(n->machine);
	free(n->emulator);
	free(n->cpu);
	free(n->cpu_mode);
	*n = (struct xml_needs){ 0 };
}

/* An amount of memory in KiB; libvirt prints no other unit, and 0 is what is not understood. */
static int64_t read_kib(xmlNode *node)
{
	CLEANUP_FREE char *text = tree_text(node);
	uint64_t kib;

	if (!text || !(tree_attr_is(node, "unit", "KiB")) ||
		str_parse_uint(text, INT64_MAX, &kib) < 0)
		return 0;
	return (int64_t)kib;
}

/* Of a device that counts as memory, what takes none of the host's RAM, or not yet. */
static int64_t not_in_ram(xmlNode *device)
{
	xmlNode *target = tree_child(device, "target");
	int64_t size = read_kib(tree_child(target, "size"));

	if (tree_attr_is(device, "model", "nvdimm") || tree_attr_is(device, "model", "virtio-pmem"))
		return size;
	return tree_attr_is(device, "model", "virtio-mem")
		       ? size - read_kib(tree_child(target, "current"))
		       : 0;
}

static int64_t ram_needed(xmlNode *root)
{
	int64_t kib = read_kib(tree_child(root, "memory"));
	xmlNode *devices = tree_child(root, "devices");

	for (xmlNode *m = tree_child(devices, "memory"); m; m = tree_next(m, "memory"))
		kib -= not_in_ram(m);
	return kib > 0 ? kib : 0;
}

/* Of a device with pages of its own nothing is known; it counts in <memory>. */
static bool has_pages_of_its_own(xmlNode *root)
{
	xmlNode *devices = tree_child(root, "devices");

	for (xmlNode *m = tree_child(devices, "memory"); m; m = tree_next(m, "memory"))
		if (tree_child(tree_child(m, "source"), "pagesize"))
			return true;
	return false;
}

static int64_t page_size(xmlNode *hugepages)
{
	xmlNode *page = tree_child(hugepages, "page");
	CLEANUP_FREE char *text = tree_attr(page, "size");
	CLEANUP_FREE char *nodes = tree_attr(page, "nodeset");
	uint64_t kib;

	if (!page)
		return 0;
	return nodes || tree_next(page, "page") || !tree_attr_is(page, "unit", "KiB") || !text ||
			       str_parse_uint(text, INT64_MAX, &kib) < 0
		       ? -1
		       : (int64_t)kib;
}

int xml_needs_read(const char *domain_xml, struct xml_needs *ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *root, *type, *cpu, *hugepages;
	int64_t page_kib;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	root = xmlDocGetRootElement(doc);
	type = tree_child(tree_child(root, "os"), "type");
	cpu = tree_child(root, "cpu");
	hugepages = tree_child(tree_child(root, "memoryBacking"), "hugepages");
	page_kib = has_pages_of_its_own(root) ? -1 : page_size(hugepages);
	*ret = (struct xml_needs){
		.memory_kib = ram_needed(root),
		/* Pages of the system's own size are none that somebody has to set aside. */
		.hugepages = hugepages && page_kib != sysconf(_SC_PAGESIZE) / 1024,
		.page_kib = page_kib,
		.virt_type = tree_attr(root, "type"),
		.arch = tree_attr(type, "arch"),
		.machine = tree_attr(type, "machine"),
		.emulator = tree_text(tree_child(tree_child(root, "devices"), "emulator")),
		.cpu = cpu ? tree_print(cpu) : NULL,
		.cpu_mode = tree_attr(cpu, "mode"),
	};
	return 0;
}

void xml_file_list_free(struct xml_file_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].what);
		free(l->v[i].path);
	}
	free(l->v);
	*l = (struct xml_file_list){ 0 };
}

/* Takes over both texts. */
static bool add_file(struct xml_file_list *l, char *what, char *path, bool is_written)
{
	if (str_is_empty(path)) {
		free(what);
		free(path);
		return false;
	}
	*(struct xml_file *)mem_append(&l->v, &l->n, sizeof(*l->v)) =
		(struct xml_file){ .what = what, .path = path, .is_written = is_written };
	return true;
}

/* The file or device that a disk, or what it is backed by, is on; NULL: something else. Caller frees. */
static char *path_of(xmlNode *image)
{
	xmlNode *source = tree_child(image, "source");

	if (tree_attr_is(image, "type", "block"))
		return tree_attr(source, "dev");
	return tree_attr_is(image, "type", "file") ? tree_attr(source, "file") : NULL;
}

static void add_disk(struct xml_file_list *l, xmlNode *disk)
{
	CLEANUP_FREE char *target = tree_attr(tree_child(disk, "target"), "dev");
	CLEANUP_FREE char *policy = tree_attr(tree_child(disk, "source"), "startupPolicy");
	bool is_written = !tree_child(disk, "readonly") && !tree_attr_is(disk, "device", "cdrom");

	if (policy && !str_equal(policy, "mandatory"))
		return;
	add_file(l, str_printf("disk %s", target ? target : "?"), path_of(disk), is_written);
	for (xmlNode *b = tree_child(disk, "backingStore"); b; b = tree_child(b, "backingStore"))
		if (add_file(l, str_printf("what disk %s is backed by", target ? target : "?"),
			    path_of(b), false))
			l->v[l->n - 1].is_backing = is_written;
}

void xml_ground_list_free(struct xml_ground_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
	*l = (struct xml_ground_list){ 0 };
}

/* One that libvirt has brought up for a network names the bridge as well. */
static void add_ground(struct xml_ground_list *l, xmlNode *nic)
{
	static const struct {
		const char *kind, *type, *attr;
	} kinds[] = { { "network", NULL, "network" }, { "bridge", "bridge", "bridge" },
		{ "device", "direct", "dev" } };
	xmlNode *source = tree_child(nic, "source");

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		char *name = tree_attr(source, kinds[k].attr);
		bool is_kernels = !kinds[k].type || (tree_attr_is(nic, "type", kinds[k].type) &&
							    !tree_child(nic, "virtualport"));

		if (!str_is_empty(name) && is_kernels) {
			*(struct xml_ground *)mem_append(&l->v, &l->n, sizeof(*l->v)) =
				(struct xml_ground){ kinds[k].kind, name };
			return;
		}
		free(name);
	}
}

int xml_grounds_find(const char *domain_xml, struct xml_ground_list *ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	for (xmlNode *nic = tree_child(tree_devices(doc), "interface"); nic;
		nic = tree_next(nic, "interface"))
		if (!tree_child(nic, "teaming"))
			add_ground(ret, nic);
	return 0;
}

int xml_files_find(const char *domain_xml, struct xml_file_list *ret, struct err *e)
{
	static const char *const of_boot[] = { "loader", "kernel", "initrd", "dtb" };
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *os;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	*ret = (struct xml_file_list){ 0 };
	os = tree_child(xmlDocGetRootElement(doc), "os");
	for (size_t i = 0; i < ARRAY_SIZE(of_boot); i++)
		add_file(ret, str_dup(of_boot[i]), tree_text(tree_child(os, of_boot[i])), false);
	add_file(ret, str_dup("emulator"), tree_text(tree_child(tree_devices(doc), "emulator")),
		false);
	for (xmlNode *d = tree_child(tree_devices(doc), "disk"); d; d = tree_next(d, "disk"))
		add_disk(ret, d);
	for (xmlNode *d = xmlFirstElementChild(tree_devices(doc)); d; d = xmlNextElementSibling(d))
		add_file(ret, str_printf("ROM of an <%s>", (const char *)d->name),
			tree_attr(tree_child(d, "rom"), "file"), false);
	return 0;
}

static void add_string(struct xml_strings *l, char *s)
{
	*(char **)mem_append(&l->v, &l->n, sizeof(*l->v)) = s;
}

/* VIR_NET_GENERATED_…_PREFIX in libvirt's src/conf/domain_conf.h and src/util/virnetdev.h. */
bool xml_tap_is_generated(const char *name)
{
	static const char *const prefixes[] = { "vnet", "macvtap", "macvlan", "vif" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_starts(name, prefixes[i]))
			return true;
	return false;
}

static bool has_device_by_libvirt(xmlNode *nic)
{
	static const char *const types[] = { "bridge", "network", "direct" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (tree_attr_is(nic, "type", types[i]))
			return true;
	return false;
}

int xml_fixed_taps(const char *domain_xml, struct xml_strings *ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	for (xmlNode *nic = tree_child(tree_devices(doc), "interface"); nic;
		nic = tree_next(nic, "interface")) {
		char *name = tree_attr(tree_child(nic, "target"), "dev");

		if (has_device_by_libvirt(nic) && !str_is_empty(name) &&
			!xml_tap_is_generated(name))
			add_string(ret, name);
		else
			free(name);
	}
	return 0;
}

static void add_unmovable_disk(struct xml_strings *l, xmlNode *disk)
{
	CLEANUP_FREE char *target = tree_attr(tree_child(disk, "target"), "dev");

	if (tree_child(disk, "transient"))
		add_string(l, str_printf("the transient disk %s", target ? target : "?"));
}

/* What qemuMigrationSrcIsAllowed in libvirt's src/qemu/qemu_migration.c refuses in some versions only. */
struct refusals {
	bool virtiofs;
	bool unasked; /* what it cannot ask QEMU about, instead of doing so */
};

/* QEMU itself has a blocker for "scsi_host" (hw/scsi/vhost-scsi.c), which libvirt has no way to lift. */
static void add_unmovable_hostdev(struct xml_strings *l, xmlNode *hostdev, const struct refusals *r)
{
	CLEANUP_FREE char *type = tree_attr(hostdev, "type");
	bool unasked = str_equal(type, "scsi") || str_equal(type, "mdev");

	if (tree_attr_is(hostdev, "mode", "capabilities"))
		add_string(l, str_dup("a <hostdev mode='capabilities'>"));
	else if (str_equal(type, "scsi_host") || (unasked && r->unasked))
		add_string(l, str_printf("a <hostdev type='%s'>", type));
}

static void add_unmovable_devices(struct xml_strings *l, xmlNode *devices, const struct refusals *r)
{
	for (xmlNode *d = tree_child(devices, "disk"); d; d = tree_next(d, "disk"))
		add_unmovable_disk(l, d);
	for (xmlNode *d = tree_child(devices, "hostdev"); d; d = tree_next(d, "hostdev"))
		add_unmovable_hostdev(l, d, r);
	for (xmlNode *d = tree_child(devices, "shmem"); d; d = tree_next(d, "shmem"))
		if (!tree_attr_is(d, "role", "master"))
			add_string(l, str_dup("a <shmem> that is not the master"));
	for (xmlNode *d = tree_child(devices, "filesystem"); r->virtiofs && d;
		d = tree_next(d, "filesystem"))
		if (tree_attr_is(tree_child(d, "driver"), "type", "virtiofs"))
			add_string(l, str_dup("a <filesystem> of virtiofs"));
	for (xmlNode *d = tree_child(devices, "interface"); r->unasked && d;
		d = tree_next(d, "interface"))
		if (tree_attr_is(d, "type", "vdpa"))
			add_string(l, str_dup("an <interface type='vdpa'>"));
}

static bool is_any_disk(xmlNode *disk)
{
	return disk;
}

static bool is_own_nvme(xmlNode *disk)
{
	return tree_attr_is(disk, "type", "nvme") && !tree_child(disk, "readonly");
}

static int find_disks(const char *domain_xml, bool (*is_meant)(xmlNode *disk),
	struct xml_strings *ret, struct err *e)
{
	CLEANUP_TREE xmlDoc *doc = NULL;

	if (tree_parse(domain_xml, "domain", &doc, e) < 0)
		return -1;
	for (xmlNode *d = tree_child(tree_devices(doc), "disk"); d; d = tree_next(d, "disk")) {
		char *target = tree_attr(tree_child(d, "target"), "dev");

		if (target && is_meant(d))
			add_string(ret, target);
		else
			free(target);
	}
	return 0;
}

int xml_disks(const char *domain_xml, struct xml_strings *ret, struct err *e)
{
	return find_disks(domain_xml, is_any_disk, ret, e);
}

int xml_nvme_disks(const char *domain_xml, struct xml_strings *ret, struct err *e)
{
	return find_disks(domain_xml, is_own_nvme, ret, e);
}

/* The last of these comes with QEMU's -cpu host,migratable=off. */
static bool has_invariant_tsc(xmlNode *cpu)
{
	for (xmlNode *f = tree_child(cpu, "feature"); f; f = tree_next(f, "feature"))
		if (tree_attr_is(f, "name", "invtsc"))
			return tree_attr_is(f, "policy", "require") ||
			       tree_attr_is(f, "policy", "force");
	return tree_attr_is(cpu, "mode", "host-passthrough") &&
	       tree_attr_is(cpu, "migratable", "off");
}

static bool tsc_has_frequency(xmlNode *clock)
{
	for (xmlNode *t = tree_child(clock, "timer"); t; t = tree_next(t, "timer")) {
		CLEANUP_FREE char *frequency = tree_attr(t, "frequency");

		if (tree_attr_is(t, "name", "tsc") && frequency)
			return true;
	}
	return false;
}

/*
 * What QEMU has a migration blocker for whatever libvirt says: target/i386/sev.c and its likes, hv-passthrough in
 * target/i386/kvm/kvm.c, virgl in hw/display/virtio-gpu.c.
 */
static void add_blockers(struct xml_strings *l, xmlNode *root)
{
	xmlNode *hyperv = tree_child(tree_child(root, "features"), "hyperv");
	xmlNode *devices = tree_child(root, "devices");

	if (tree_child(root, "launchSecurity"))
		add_string(l, str_dup("<launchSecurity>"));
	if (tree_attr_is(hyperv, "mode", "passthrough"))
		add_string(l, str_dup("<hyperv mode='passthrough'>"));
	for (xmlNode *v = tree_child(devices, "video"); v; v = tree_next(v, "video"))
		if (tree_attr_is(tree_child(tree_child(v, "model"), "acceleration"), "accel3d",
			    "yes"))
			add_string(l, str_dup("a <video> with accel3d"));
}

/* Some distributions have the question in their 8.5.0. */
enum { VERSION_WITH_VIRTIOFS = 10000000, VERSION_THAT_ASKS = 8005000, QEMU_THAT_ANSWERS = 6000000 };

int xml_unmovable(const char *live_xml, int64_t libvirt, int64_t qemu, struct xml_strings *ret,
	struct err *e)
{
	struct refusals refusals = { .virtiofs = libvirt < VERSION_WITH_VIRTIOFS,
		.unasked = libvirt < VERSION_THAT_ASKS || (qemu && qemu < QEMU_THAT_ANSWERS) };
	CLEANUP_TREE xmlDoc *doc = NULL;
	xmlNode *root;

	if (tree_parse(live_xml, "domain", &doc, e) < 0)
		return -1;
	*ret = (struct xml_strings){ 0 };
	root = xmlDocGetRootElement(doc);
	add_unmovable_devices(ret, tree_devices(doc), &refusals);
	add_blockers(ret, root);
	if (has_invariant_tsc(tree_child(root, "cpu")) &&
		!tsc_has_frequency(tree_child(root, "clock")))
		add_string(ret,
			str_dup("an invariant TSC (the CPU feature invtsc, or migratable='off'), and no "
				"frequency for it (<timer>)"));
	return 0;
}

static xmlNode *pci_controller(xmlNode *devices, uint64_t bus)
{
	for (xmlNode *c = tree_child(devices, "controller"); c; c = tree_next(c, "controller")) {
		CLEANUP_FREE char *index = tree_attr(c, "index");
		uint64_t number;

		if (tree_attr_is(c, "type", "pci") && str_parse_uint(index, 0xff, &number) == 0 &&
			number == bus)
			return c;
	}
	return NULL;
}

/*
 * QEMU plugs nothing into or out of pcie.0 itself, nor a port with hotplug switched off. The root
 * bus of older machines (pci-root) is another matter.
 */
char *xml_primary_stuck(const char *live_xml, const char *standby_alias)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	CLEANUP_FREE char *bus_text = NULL;
	xmlNode *port, *address;
	struct err ignored;
	uint64_t bus;

	if (tree_parse(live_xml, "domain", &doc, &ignored) < 0)
		return NULL;
	address = tree_child(tree_primary_of(tree_devices(doc), standby_alias), "address");
	bus_text = tree_attr(address, "bus");
	if (!tree_attr_is(address, "type", "pci") || !bus_text ||
		str_parse_uint(bus_text, 0xff, &bus) < 0)
		return NULL;
	port = pci_controller(tree_devices(doc), bus);
	if (tree_attr_is(port, "model", "pcie-root"))
		return str_printf("it sits on the root bus itself (bus %s)", bus_text);
	if (tree_attr_is(tree_child(port, "target"), "hotplug", "off"))
		return str_printf("hotplug is switched off for its port (bus %s)", bus_text);
	return NULL;
}

char *xml_domain_macs(const char *domain_xml)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	struct str_buf list = { 0 };
	struct err ignored;

	str_buf_add(&list, "%s", "");
	if (tree_parse(domain_xml, "domain", &doc, &ignored) < 0)
		return list.s;
	for (xmlNode *n = tree_child(tree_devices(doc), "interface"); n;
		n = tree_next(n, "interface")) {
		CLEANUP_FREE char *text = tree_attr(tree_child(n, "mac"), "address");
		char canonical[MAC_TEXT_SIZE];
		struct mac mac;

		if (!text || mac_parse(text, &mac) < 0)
			continue;
		mac_format(&mac, canonical);
		str_buf_add(&list, "%s%s", list.len ? "," : "", canonical);
	}
	return list.s;
}

char *xml_host_cpu(const char *capabilities)
{
	CLEANUP_TREE xmlDoc *doc = NULL;
	struct err ignored;
	xmlNode *cpu;

	if (tree_parse(capabilities, "capabilities", &doc, &ignored) < 0)
		return NULL;
	cpu = tree_child(tree_child(xmlDocGetRootElement(doc), "host"), "cpu");
	return cpu ? tree_print(cpu) : NULL;
}
