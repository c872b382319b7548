/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XML as it is read: definitions of domains and networks, and capabilities. */
#include "fuzz.h"
#include "util/hwaddr.h"
#include "util/mem.h"
#include "util/str.h"
#include "xml/domain.h"
#include "xml/network.h"
#include "xml/pair.h"

const char fuzz_name[] = "domain";

static void must_be_mac(const char *text)
{
	char canonical[MAC_TEXT_SIZE];
	struct mac mac;

	must(mac_parse(text, &mac) == 0);
	mac_format(&mac, canonical);
	must(str_equal(text, canonical));
}

static void must_be_pci(const char *text)
{
	char canonical[PCI_TEXT_SIZE];
	struct pci_address pci;

	must(pci_parse(text, &pci) == 0);
	pci_format(&pci, canonical);
	must(str_equal(text, canonical));
}

static void check_primary(const struct xml_primary *p)
{
	must(p->form != PRIMARY_NONE || (!p->xml && !p->address && !p->mac));
	must(p->form == PRIMARY_NONE || p->xml);
	if (p->mac)
		must_be_mac(p->mac);
	if (p->address)
		must_be_pci(p->address);
	if (p->guest_address)
		must_be_pci(p->guest_address);
}

/* What is called no problem is a pair that a migration can go by. */
static void check_pair(const struct xml_pair *p, const char *text)
{
	must(p->problem || (p->standby_alias && p->mac));
	if (p->problem) /* a word that was missing, unless the input has it, plain or encoded */
		must(!strstr(p->problem, "(null)") || strstr(text, "null") || strstr(text, "&#"));
	if (p->mac)
		must_be_mac(p->mac);
	must(p->problem || !p->primary.mac || str_equal(p->mac, p->primary.mac));
	check_primary(&p->primary);
}

static void read_pairs(const char *text)
{
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	struct err e = { 0 };

	if (xml_pairs_find(text, &pairs, &e) < 0) {
		must(e.msg[0] && !pairs.n);
		return;
	}
	for (size_t i = 0; i < pairs.n; i++)
		check_pair(&pairs.v[i], text);
}

static void read_devices(const char *text)
{
	CLEANUP_STRINGS struct xml_strings devices = { 0 };
	struct err e = { 0 };

	if (xml_host_devices(text, &devices, &e) < 0)
		must(e.msg[0] && !devices.n);
	for (size_t i = 0; i < devices.n; i++)
		must_be_pci(devices.v[i]);
}

/* What the checks ask for. */
static void read_needs(const char *text)
{
	CLEANUP_NEEDS struct xml_needs needs = { 0 };
	CLEANUP_FREE char *stuck = xml_primary_stuck(text, "ua-standby");
	CLEANUP_FREE char *macs = xml_domain_macs(text);
	CLEANUP_FREE char *cpu = xml_host_cpu(text);
	struct err e = { 0 };

	must(!stuck || *stuck);
	must(!cpu || *cpu);
	if (xml_needs_read(text, &needs, &e) < 0)
		must(e.msg[0] && !needs.cpu);
	must(needs.memory_kib >= 0);
	for (char *rest = NULL, *mac = strtok_r(macs, ",", &rest); mac;
		mac = strtok_r(NULL, ",", &rest))
		must_be_mac(mac);
}

static void read_others(const char *text)
{
	struct xml_network network = { 0 };
	CLEANUP_FREE char *uuid = NULL;
	struct err e = { 0 };

	if (xml_network_parse(text, &network, &e) == 0)
		must(network.forward);
	xml_network_free(&network);
	if (xml_host_uuid(text, &uuid, &e) == 0)
		must(uuid);
	xml_agent_connected(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = fuzz_text(data, size);

	read_pairs(text);
	read_devices(text);
	read_needs(text);
	read_others(text);
	return 0;
}
