/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pretended SR-IOV: what sysfs shows of PFs and VFs, and the attributes a PF's driver keeps for
 * its VFs. Network devices themselves are real.
 */
#ifndef FAKE_NIC_H
#define FAKE_NIC_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_SIZE 20

struct vf {
	char host[32];
	char address[ADDRESS_SIZE];
	char pf[IF_NAMESIZE];
	int index;
};

struct vf_attr {
	uint8_t mac[6];
	int vlan, spoofchk, trust, link_state, query_rss, min_rate, max_rate, qos, protocol;
};

/*
 * A PF with COUNT VFs. All VFs are bound to VF_DRIVER and have a network device, named after
 * the PF ("pf0v3"), but the one with index UPLINK has the name UPLINK_NAME and no device: the
 * caller makes that and the PF's own.
 */
int nic_create(const char *host, const char *pf, const char *address, const char *driver,
	const char *vf_driver, int count, int uplink, const char *uplink_name);

/* Fails as libvirt does for a device that is not there. */
int vf_find(const char *host, const char *address, struct vf *ret);
bool vf_by_index(const char *host, const char *pf, int index, struct vf *ret);
int pf_count_vfs(const char *host, const char *pf); /* 0: not a PF */

char *vf_driver(const struct vf *vf); /* "": none; caller frees */
/* Binds to DRIVER ("": none). Its network device goes or comes with the host's driver. */
void vf_bind(const struct vf *vf, const char *driver);
/* The command word of the VF's configuration space. */
enum {
	COMMAND_RESET = 0,
	COMMAND_GUEST_BOOTS = 0x0103,
	COMMAND_GUEST_DRIVES = 0x0507,
	COMMAND_HOST_DRIVES = 0x0406
};
void vf_set_command(const struct vf *vf, unsigned int word);
unsigned int vf_get_command(const struct vf *vf);

void vf_get(const struct vf *vf, struct vf_attr *ret);
void vf_put(const struct vf *vf, const struct vf_attr *attr);
/* The attribute named as ip-link(8) does ("trust", "state", "vlan", …); NULL: there is none. */
int *vf_attr_by_name(struct vf_attr *attr, const char *name);
/* Whether the PF's driver has no such attribute: a word of the setting vf.lacks. */
bool vf_lacks(const char *host, const char *name);
/* What the PF's driver says to a new MAC: 0 or an errno value; sets it. */
int vf_set_mac(const struct vf *vf, const uint8_t mac[6]);

void mac_text(const uint8_t mac[6], char ret[18]);
bool mac_from_text(const char *s, uint8_t ret[6]);

/*
 * The NIC's embedded switch: who asked it for frames to a MAC, and who gets them. OWNER is
 * "uplink" or "vf" and the VF's number. What it does when two ask for the same MAC is known by
 * the PF's driver, or by the setting nic.behaves: replicates (both get every frame), uplink-wins
 * (the VF is deaf while the uplink asks), refuses (the second one to ask gets nothing, and is not
 * asked again).
 */
void switch_ask(const char *host, const char *pf, const uint8_t mac[6], const char *owner);
void switch_drop(const char *host, const char *pf, const uint8_t mac[6], const char *owner);
/*
 * Prints a line for each who gets frames: "uplink", "vf" (that a guest drives), "nobody"
 * (another).
 */
void switch_print(const char *host, const char *pf, const uint8_t mac[6]);
/* The PF that a network device belongs to: itself, or as one of its VFs. */
bool switch_of_netdev(const char *host, const char *netdev, char ret_pf[IF_NAMESIZE]);

/* What libvirt does around a guest's use of a VF: MAC may be NULL (plain hostdev, of no VLAN either). */
int vf_give_to_guest(const struct vf *vf, const char *mac, int vlan, bool managed);
void vf_take_from_guest(const struct vf *vf, bool managed);

/*
 * Moves this (single-threaded) process into the network namespace of HOST; the value is for
 * netns_leave. Nothing happens when it is there already.
 */
int netns_enter(const char *host);
void netns_leave(int before);
bool netdev_is_up(const char *name);
int netdev_set_up(const char *name);
int tap_open(const char *pattern, bool persistent, char ret_name[IF_NAMESIZE]); /* fd or -1 */
void tap_remove(const char *name);

#endif
