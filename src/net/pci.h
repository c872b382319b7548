/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sysfs knows about PCI functions: PFs, their VFs, drivers, and the command word. */
#ifndef NET_PCI_H
#define NET_PCI_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "util/hwaddr.h"

struct pci_vf {
	struct pci_address address;
	unsigned int index;
	char driver[32];          /* "" when none is bound */
	char netdev[IF_NAMESIZE]; /* "" when it has none in this network namespace */
};

struct pci_pf {
	struct pci_address address;
	char netdev[IF_NAMESIZE];
	char driver[32];
	struct pci_vf *vfs; /* owned */
	size_t n_vfs;
};

struct pci_pf_list {
	struct pci_pf *v; /* owned */
	size_t n;
};

void pci_pf_list_free(struct pci_pf_list *l);
#define CLEANUP_PFS __attribute__((cleanup(pci_pf_list_free)))

/* Every PF of this host that has a network device and at least one VF, in address order. */
int pci_pf_list_get(struct pci_pf_list *ret, struct err *e);

/* The PF (and the VF of it, if it is one) that a network device belongs to; false: neither. */
bool pci_find_netdev(const struct pci_pf_list *l, const char *netdev, const struct pci_pf **ret_pf,
	const struct pci_vf **ret_vf);

/* The VF with this canonical address, and its PF; false: there is none. */
bool pci_find_address(const struct pci_pf_list *l, const char *address,
	const struct pci_pf **ret_pf, const struct pci_vf **ret_vf);

struct pci_function {
	char netdev[IF_NAMESIZE], driver[32]; /* "" when there is none here */
};

/* The VF of that number of the PF with the network device PF, or with -1 that PF; false: there is none. */
bool pci_find_function(const struct pci_pf_list *l, const char *pf, int64_t vf,
	struct pci_function *ret);

/* The PCI function behind a network device, as text. */
int pci_of_netdev(const char *netdev, char ret[PCI_TEXT_SIZE], struct err *e);

/* Name of the driver bound to a function, "" if none is. */
void pci_driver(const struct pci_address *address, char *ret, size_t size);

/*
 * Why vfio could not give the function to a guest, as far as its IOMMU group goes: it has none, or
 * shares it with a device that the host uses. NULL: nothing speaks against it. Caller frees.
 */
char *pci_group_trouble(const struct pci_address *address);

/*
 * Which program has a function that no network device shows to be used: it is open by vfio, or a vDPA
 * device stands on it. NULL: none. Caller frees.
 */
char *pci_hidden_user(const struct pci_address *address);

/* Whether a network device's NIC could have VFs and has none. */
bool pci_lacks_vfs(const char *netdev);

/*
 * Whether a driver hands its device to a guest: vfio-pci, or one made for a NIC (mlx5_vfio_pci,
 * ...), which libvirt prefers where there is one (since 10.0). They all are named so. NULL: none is known.
 */
bool pci_driver_is_vfio(const char *driver);

/*
 * Whether a driver has made the function a bus master: command word, offset 4, bit 2 of the
 * configuration space. For a VF given to a guest the guest's driver does (vfio-pci clears the
 * bit when it hands the device over and passes the guest's write through).
 */
int pci_is_bus_master(const struct pci_address *address, bool *ret, struct err *e);

#endif
