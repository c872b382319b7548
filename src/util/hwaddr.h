/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two addresses of this field in their canonical text: MAC and PCI address. */
#ifndef UTIL_HWADDR_H
#define UTIL_HWADDR_H

#include <stdbool.h>
#include <stdint.h>

#define MAC_TEXT_SIZE 18 /* "52:54:00:00:12:53" */
#define PCI_TEXT_SIZE 17 /* "ffffffff:ff:ff.f", domains may be 32 bit wide */

struct mac {
	uint8_t b[6];
};

/* 0, or -1 when S is no MAC address (colons or dashes, either case). */
int mac_parse(const char *s, struct mac *ret);
void mac_format(const struct mac *m, char ret[MAC_TEXT_SIZE]);
bool mac_equal(const struct mac *a, const struct mac *b);
bool mac_is_zero(const struct mac *m);
bool mac_is_multicast(const struct mac *m);
/* A locally administered one that nobody has, most probably. */
void mac_random(struct mac *ret);

struct pci_address {
	uint32_t domain;
	uint8_t bus, slot, function;
};

/* Accepts "DDDD:BB:SS.F" and "BB:SS.F" (domain 0). */
int pci_parse(const char *s, struct pci_address *ret);
void pci_format(const struct pci_address *p, char ret[PCI_TEXT_SIZE]);

#endif
