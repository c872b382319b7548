/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pieces of domain definitions to put together. */
#ifndef UNIT_TEXT_H
#define UNIT_TEXT_H

#define DOMAIN(devices) \
	"<domain type='kvm'><name>vm-01</name>" \
	"<uuid>7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101</uuid><devices>" devices "</devices></domain>"

#define STANDBY_LINKED(mac, alias, link) \
	"<interface type='bridge'><mac address='" mac "'/><source bridge='br0'/>" \
	"<target dev='vmtap01'/><model type='virtio'/><teaming type='persistent'/>" link \
	"<alias name='" alias "'/>" \
	"<address type='pci' domain='0x0000' bus='0x01' slot='0x00' " \
	"function='0x0'/></interface>"

#define STANDBY(mac, alias) STANDBY_LINKED(mac, alias, "<link state='down'/>")

#define HOST_ADDRESS(function) \
	"<source><address type='pci' domain='0x0000' bus='0x01' slot='0x10' " \
	"function='" function "'/></source>"

#define GUEST_ADDRESS(bus) \
	"<address type='pci' domain='0x0000' bus='" bus "' slot='0x00' function='0x0'/>"

#define PRIMARY(mac, function, standby) \
	"<interface type='hostdev' managed='yes'><mac address='" mac "'/>" HOST_ADDRESS( \
		function) "<teaming type='transient' persistent='" standby "'/>" \
			  "<alias name='hostdev0'/>" GUEST_ADDRESS("0x05") "</interface>"

#define PRIMARY_PLAIN(function, standby) \
	"<hostdev mode='subsystem' type='pci' managed='yes'><source>" \
	"<address domain='0x0000' bus='0x01' slot='0x10' function='" function "'/></source>" \
	"<teaming type='transient' persistent='" standby "'/><alias name='hostdev0'/></hostdev>"

#define PRIMARY_OF_POOL(mac, standby) \
	"<interface type='network'><mac address='" mac "'/><source network='vfs'/>" \
	"<model type='virtio'/><teaming type='transient' persistent='" standby "'/></interface>"

#define MAC_A "52:54:00:00:12:53"
#define MAC_B "52:54:00:00:12:54"

#endif
