/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tap.h"
#include "util/hwaddr.h"

static void mac_is(const char *s, const char *canonical)
{
	char text[MAC_TEXT_SIZE] = "refused";
	struct mac mac;

	if (mac_parse(s, &mac) == 0)
		mac_format(&mac, text);
	if (!tap_result(strcmp(text, canonical) == 0, "MAC \"%s\" is %s", s, canonical))
		printf("# it is %s\n", text);
}

static void pci_is(const char *s, const char *canonical)
{
	char text[PCI_TEXT_SIZE] = "refused";
	struct pci_address pci;

	if (pci_parse(s, &pci) == 0)
		pci_format(&pci, text);
	if (!tap_result(strcmp(text, canonical) == 0, "PCI address \"%s\" is %s", s, canonical))
		printf("# it is %s\n", text);
}

static void test_kinds_of_macs(void)
{
	struct mac zero = { { 0 } }, group = { { 1, 0, 0x5e, 0, 0, 1 } };
	struct mac guest = { { 0x52, 0x54, 0, 0, 0x12, 0x53 } }, other = guest;

	ok(mac_is_zero(&zero), "zero is zero");
	ok(!mac_is_zero(&guest), "a guest's MAC is not zero");
	ok(mac_is_multicast(&group), "01:… is multicast");
	ok(!mac_is_multicast(&guest), "52:… is not multicast");
	ok(mac_equal(&guest, &other), "equal MACs are equal");
	other.b[5]++;
	ok(!mac_equal(&guest, &other), "the last byte counts");
}

int main(void)
{
	struct mac mac = { { 9, 9, 9, 9, 9, 9 } };
	struct pci_address pci = { .domain = 7 };

	mac_is("52:54:00:00:12:53", "52:54:00:00:12:53");
	mac_is("52-54-00-00-12-5F", "52:54:00:00:12:5f");
	mac_is("FE:DC:BA:98:76:54", "fe:dc:ba:98:76:54");
	mac_is("", "refused");
	mac_is("5", "refused");
	mac_is("52:54:00:00:12", "refused");
	mac_is("52:54:00:00:12:", "refused");
	mac_is("52:54:00:00:12:5", "refused");
	mac_is("52:54:00:00:12:53 ", "refused");
	mac_is("52:54:00:00:12:53:00", "refused");
	mac_is("5254.0000.1253", "refused");
	mac_is("525400001253", "refused");
	mac_is("52:54:00:00:12:g3", "refused");
	mac_is(" 2:54:00:00:12:53", "refused");
	mac_is("+2:54:00:00:12:53", "refused");
	ok(mac_parse("nonsense", &mac) < 0 && mac.b[0] == 9,
		"a refused MAC leaves the result alone");
	test_kinds_of_macs();

	pci_is("0000:01:10.2", "0000:01:10.2");
	pci_is("01:10.2", "0000:01:10.2");
	pci_is("1:2.3", "0000:01:02.3");
	pci_is("10000:e1:00.0", "10000:e1:00.0");
	pci_is("ffffffff:ff:1f.7", "ffffffff:ff:1f.7");
	pci_is("0000:AB:1F.7", "0000:ab:1f.7");
	pci_is("", "refused");
	pci_is("0000:01:10", "refused");
	pci_is("0000:01:20.0", "refused"); /* slots have five bits */
	pci_is("0000:01:10.8", "refused"); /* functions three */
	pci_is("0000:100:10.0", "refused");
	pci_is("100000000:01:10.0", "refused");
	pci_is("0000:01:10.2x", "refused");
	pci_is("0000:01:10.", "refused");
	pci_is("../../etc/passwd", "refused");
	pci_is("0000:01:10.2/..", "refused");
	pci_is("-1:01:10.2", "refused");
	pci_is("0x0:01:10.2", "refused");
	ok(pci_parse("nonsense", &pci) < 0 && pci.domain == 7,
		"a refused PCI address leaves the result alone");
	return tap_done();
}
