/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/hwaddr.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static int hex_byte(const char *s, uint8_t *ret)
{
	const char digits[3] = { s[0], (char)(s[0] ? s[1] : '\0'), '\0' };

	if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
		return -1;
	*ret = (uint8_t)strtoul(digits, NULL, 16);
	return 0;
}

int mac_parse(const char *s, struct mac *ret)
{
	struct mac m;

	for (int i = 0; i < 6; i++) {
		if (hex_byte(s, &m.b[i]) < 0)
			return -1;
		s += 2;
		if (i < 5 && *s != ':' && *s != '-')
			return -1;
		s += i < 5;
	}
	if (*s)
		return -1;
	*ret = m;
	return 0;
}

void mac_format(const struct mac *m, char ret[MAC_TEXT_SIZE])
{
	snprintf(ret, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2],
		m->b[3], m->b[4], m->b[5]);
}

bool mac_equal(const struct mac *a, const struct mac *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool mac_is_zero(const struct mac *m)
{
	static const struct mac zero;

	return mac_equal(m, &zero);
}

bool mac_is_multicast(const struct mac *m)
{
	return m->b[0] & 1;
}

void mac_random(struct mac *ret)
{
	if (getrandom(ret->b, sizeof(ret->b), 0) != sizeof(ret->b))
		abort(); /* cannot happen for so few bytes: getrandom(2) */
	ret->b[0] = (uint8_t)((ret->b[0] & 0xfc) | 0x02);
}

/* Reads 1 to MAX_DIGITS hexadecimal digits ending at END; moves *S behind END. */
static int hex_field(const char **s, char end, int max_digits, unsigned long max,
	unsigned long *ret)
{
	const char *p = *s;
	int n = 0;

	while (isxdigit((unsigned char)p[n]))
		n++;
	if (n == 0 || n > max_digits || p[n] != end)
		return -1;
	*ret = strtoul(p, NULL, 16);
	if (*ret > max)
		return -1;
	*s = p + n + (end != '\0');
	return 0;
}

int pci_parse(const char *s, struct pci_address *ret)
{
	unsigned long domain = 0, bus, slot, function;
	const char *first = strchr(s, ':');

	if (!first)
		return -1;
	if (strchr(first + 1, ':') && hex_field(&s, ':', 8, 0xffffffff, &domain) < 0)
		return -1;
	if (hex_field(&s, ':', 2, 0xff, &bus) < 0 || hex_field(&s, '.', 2, 0x1f, &slot) < 0 ||
		hex_field(&s, '\0', 1, 7, &function) < 0)
		return -1;
	*ret = (struct pci_address){ (uint32_t)domain, (uint8_t)bus, (uint8_t)slot,
		(uint8_t)function };
	return 0;
}

void pci_format(const struct pci_address *p, char ret[PCI_TEXT_SIZE])
{
	snprintf(ret, PCI_TEXT_SIZE, "%04x:%02x:%02x.%x", p->domain, p->bus, p->slot, p->function);
}
