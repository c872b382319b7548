/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else is read in a domain's definition: its needs, where its primary is plugged in, its
 * MACs.
 */
#include "xml/domain.h"

#include <stdlib.h>

#include "tap.h"
#include "text.h"
#include "util/mem.h"

#define PORT(index, model, rest) \
	"<controller type='pci' index='" index "' model='" model "'>" rest "</controller>"
#define PRIMARY_ON(bus) \
	"<interface type='hostdev'>" HOST_ADDRESS("0x2") "<teaming type='transient' " \
							 "persistent='ua-a'/>" GUEST_ADDRESS( \
								 bus) "</interface>"

static void is_stuck(const char *xml, bool wanted, const char *what)
{
	CLEANUP_FREE char *why = xml_primary_stuck(xml, "ua-a");

	ok(!why == !wanted, "%s: %s", what, wanted ? "stuck" : "nothing is said");
}

static void test_ports(void)
{
	is_stuck(DOMAIN(PORT("0", "pcie-root", "") PRIMARY_ON("0x00")), true, "on pcie.0");
	is_stuck(DOMAIN(PORT("0", "pci-root", "") PRIMARY_ON("0x00")), false,
		"on pci.0 of an older machine");
	is_stuck(DOMAIN(PORT("0", "pcie-root", "") PORT("5", "pcie-root-port", "")
				 PRIMARY_ON("0x05")),
		false, "behind a root port");
	is_stuck(DOMAIN(PORT("5", "pcie-root-port", "<target chassis='5' hotplug='off'/>")
				 PRIMARY_ON("0x05")),
		true, "behind one with hotplug off");
	is_stuck(DOMAIN(PORT("5", "pcie-root-port", "<target hotplug='on'/>") PRIMARY_ON("0x05")),
		false, "behind one with hotplug on");
	is_stuck(DOMAIN(PRIMARY_ON("0x07")), false, "a port that is not in the definition");
	is_stuck(DOMAIN(PORT("0", "pcie-root", "") PRIMARY_PLAIN("0x2", "ua-a")), false,
		"a primary without an address");
	is_stuck(DOMAIN(PORT("0", "pcie-root", "")), false, "no primary");
	is_stuck("nonsense", false, "no definition");
}

static void test_needs(void)
{
	CLEANUP_NEEDS struct xml_needs n = { 0 };
	struct err e;

	ok(xml_needs_read(
		   "<domain type='kvm'><memory unit='KiB'>4096</memory><os><type arch='x86_64' "
		   "machine='pc-q35-9.2'>hvm</type></os><cpu mode='custom'><model>EPYC</model>"
		   "</cpu><devices/></domain>",
		   &n, &e) == 0,
		"needs are read");
	ok(n.memory_kib == 4096 && !n.hugepages, "memory");
	is_text(n.machine, "pc-q35-9.2", "machine");
	is_text(n.arch, "x86_64", "architecture");
	is_text(n.virt_type, "kvm", "type");
	is_text(n.cpu, "<cpu mode=\"custom\"><model>EPYC</model></cpu>", "CPU");
	is_text(n.cpu_mode, "custom", "its mode");
	xml_needs_free(&n);
	ok(xml_needs_read("<domain><memory unit='GiB'>4</memory><memoryBacking><hugepages/>"
			  "</memoryBacking></domain>",
		   &n, &e) == 0 &&
			n.hugepages && n.memory_kib == 0 && !n.cpu && !n.machine,
		"what is not there, or in another unit, is not known");
	ok(xml_needs_read("<network/>", &n, &e) < 0, "what is no domain is an error");
}

static void test_macs(void)
{
	CLEANUP_FREE char *macs =
		xml_domain_macs(DOMAIN(STANDBY(MAC_A, "ua-a") PRIMARY(MAC_B, "0x2", "ua-a")));
	CLEANUP_FREE char *none = xml_domain_macs("nonsense");

	is_text(macs, MAC_A "," MAC_B, "MACs of all NICs");
	is_text(none, "", "no definition has none");
}

static void is_file(const struct xml_file *f, const char *what, const char *path, bool is_written)
{
	is_text(f->what, what, "what it is");
	is_text(f->path, path, "its path");
	ok(f->is_written == is_written, "%s", is_written ? "written" : "read only");
}

static void test_files(void)
{
	CLEANUP_FILES struct xml_file_list f = { 0 };
	struct err e;

	if (tap_result(
		    xml_files_find(
			    "<domain><os><loader readonly='yes'>/fw.fd</loader><kernel>/linux</kernel></os>"
			    "<devices>"
			    "<disk type='file' device='disk'><source file='/a b.qcow2'/><target dev='vda'/></disk>"
			    "<disk type='block' device='lun'><source dev='/dev/sdx'/><target dev='sda'/></disk>"
			    "<disk type='file' device='disk'><source file='/ro.img'/><target dev='vdb'/>"
			    "<readonly/></disk>"
			    "<disk type='file' device='cdrom'><source file='/cd.iso'/><target dev='sdb'/></disk>"
			    "<disk type='file' device='cdrom'><target dev='sdc'/></disk>"
			    "<disk type='file' device='cdrom'><source file='/may.iso' "
			    "startupPolicy='optional'/><target dev='sdd'/></disk>"
			    "<disk type='network' device='disk'><source protocol='rbd' name='p/i'/>"
			    "<target dev='vdc'/></disk>"
			    "</devices></domain>",
			    &f, &e) == 0 &&
			    f.n == 6,
		    "%s", "files a domain needs")) {
		is_file(&f.v[0], "loader", "/fw.fd", false);
		is_file(&f.v[1], "kernel", "/linux", false);
		is_file(&f.v[2], "disk vda", "/a b.qcow2", true);
		is_file(&f.v[3], "disk sda", "/dev/sdx", true);
		is_file(&f.v[4], "disk vdb", "/ro.img", false);
		is_file(&f.v[5], "disk sdb", "/cd.iso", false);
	}
	ok(xml_files_find("<network/>", &f, &e) < 0, "what is no domain is an error");
}

static void test_taps(void)
{
	CLEANUP_STRINGS struct xml_strings taps = { 0 };
	struct err e;

	ok(xml_fixed_taps(
		   DOMAIN("<interface type='bridge'><target dev='vnet3'/></interface>"
			  "<interface type='direct'><target dev='macvtap0'/></interface>"
			  "<interface type='vhostuser'><target dev='vhost0'/></interface>"
			  "<interface type='network'/>" STANDBY(MAC_A,
				  "ua-a") "<interface type='network'><target dev='mine'/></interface>"),
		   &taps, &e) == 0 &&
			taps.n == 2,
		"names that libvirt makes up, or makes no device for, do not count");
	is_text(taps.n > 0 ? taps.v[0] : NULL, "vmtap01", "a standby's");
	is_text(taps.n > 1 ? taps.v[1] : NULL, "mine", "another NIC's");
}

int main(void)
{
	test_files();
	test_ports();
	test_taps();
	test_needs();
	test_macs();
	return tap_done();
}
