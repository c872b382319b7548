/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/pci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/mem.h"
#include "util/str.h"

#define IOMMU_GROUPS "/sys/kernel/iommu_groups"
#define PCI_DEVICES "/sys/bus/pci/devices"

enum { COMMAND_OFFSET = 4, COMMAND_BUS_MASTER = 4 };

void pci_pf_list_free(struct pci_pf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].vfs);
	free(l->v);
	*l = (struct pci_pf_list){ 0 };
}

/* Last part of the symbolic link DEVICE/NAME; false when there is none. */
static bool read_link_name(const char *device, const char *name, char *ret, size_t size)
{
	CLEANUP_FREE char *path = str_printf(PCI_DEVICES "/%s/%s", device, name);
	char target[512];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	if (len < 0)
		return false;
	target[len] = '\0';
	slash = strrchr(target, '/');
	str_copy(ret, size, slash ? slash + 1 : target);
	return true;
}

/* Whether phys_port_name names a port itself ("p0", "p0s1"), not one of its representors. */
static bool is_port_name(const char *name)
{
	int len = 0;

	if (sscanf(name, "p%*[0-9]%n", &len) == 0 && len > 0 && !name[len])
		return true;
	len = 0;
	return sscanf(name, "p%*[0-9]s%*[0-9]%n", &len) == 0 && len > 0 && !name[len];
}

static bool netdev_is_port(const char *device, const char *netdev)
{
	CLEANUP_FREE char *path =
		str_printf(PCI_DEVICES "/%s/net/%s/phys_port_name", device, netdev);
	char name[64] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
	return is_port_name(name);
}

/*
 * The function's network device. There can be several (representors in switchdev mode): the
 * one whose port name is a port's own, else the first by name, as libvirt chooses.
 */
static void find_netdev(const char *device, char ret[IF_NAMESIZE])
{
	CLEANUP_FREE char *path = str_printf(PCI_DEVICES "/%s/net", device);
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	bool certain = false;

	ret[0] = '\0';
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.' && !certain) {
			certain = netdev_is_port(device, names[i]->d_name);
			if (certain || !ret[0])
				str_copy(ret, IF_NAMESIZE, names[i]->d_name);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void add_vf(struct pci_pf *pf, const char *device, unsigned int index)
{
	struct pci_address address;
	struct pci_vf *vf;

	if (pci_parse(device, &address) < 0)
		return;
	vf = mem_append(&pf->vfs, &pf->n_vfs, sizeof(*vf));
	vf->address = address;
	vf->index = index;
	read_link_name(device, "driver", vf->driver, sizeof(vf->driver));
	find_netdev(device, vf->netdev);
}

static void find_vfs(const char *device, struct pci_pf *pf)
{
	for (unsigned int i = 0;; i++) {
		char name[32], vf[64];

		snprintf(name, sizeof(name), "virtfn%u", i);
		if (!read_link_name(device, name, vf, sizeof(vf)))
			return;
		add_vf(pf, vf, i);
	}
}

static void add_pf(struct pci_pf_list *list, const char *device)
{
	struct pci_pf pf = { 0 }, *added;

	if (pci_parse(device, &pf.address) < 0)
		return;
	find_vfs(device, &pf);
	find_netdev(device, pf.netdev);
	if (!pf.n_vfs || !pf.netdev[0]) {
		free(pf.vfs);
		return;
	}
	read_link_name(device, "driver", pf.driver, sizeof(pf.driver));
	added = mem_append(&list->v, &list->n, sizeof(pf));
	*added = pf;
}

int pci_pf_list_get(struct pci_pf_list *ret, struct err *e)
{
	struct pci_pf_list list = { 0 };
	struct dirent **names;
	int n = scandir(PCI_DEVICES, &names, NULL, alphasort);

	if (n < 0 && errno != ENOENT)
		return err_set_sys(e, errno, "%s", PCI_DEVICES);
	for (int i = 0; i < n; i++) {
		add_pf(&list, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	*ret = list;
	return 0;
}

bool pci_find_netdev(const struct pci_pf_list *l, const char *netdev, const struct pci_pf **ret_pf,
	const struct pci_vf **ret_vf)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct pci_pf *pf = &l->v[i];

		if (str_equal(pf->netdev, netdev)) {
			*ret_pf = pf;
			*ret_vf = NULL;
			return true;
		}
		for (size_t k = 0; k < pf->n_vfs; k++) {
			if (str_equal(pf->vfs[k].netdev, netdev)) {
				*ret_pf = pf;
				*ret_vf = &pf->vfs[k];
				return true;
			}
		}
	}
	return false;
}

bool pci_find_address(const struct pci_pf_list *l, const char *address,
	const struct pci_pf **ret_pf, const struct pci_vf **ret_vf)
{
	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < l->v[i].n_vfs; k++) {
			char text[PCI_TEXT_SIZE];

			pci_format(&l->v[i].vfs[k].address, text);
			if (!str_equal(text, address))
				continue;
			*ret_pf = &l->v[i];
			*ret_vf = &l->v[i].vfs[k];
			return true;
		}
	}
	return false;
}

bool pci_find_function(const struct pci_pf_list *l, const char *pf, int64_t vf,
	struct pci_function *ret)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct pci_pf *p = &l->v[i];
		bool is_it = str_equal(p->netdev, pf);

		if (is_it && vf < 0) {
			str_copy(ret->netdev, sizeof(ret->netdev), p->netdev);
			str_copy(ret->driver, sizeof(ret->driver), p->driver);
			return true;
		}
		for (size_t k = 0; is_it && k < p->n_vfs; k++) {
			if (p->vfs[k].index != vf)
				continue;
			str_copy(ret->netdev, sizeof(ret->netdev), p->vfs[k].netdev);
			str_copy(ret->driver, sizeof(ret->driver), p->vfs[k].driver);
			return true;
		}
	}
	return false;
}

void pci_driver(const struct pci_address *address, char *ret, size_t size)
{
	char text[PCI_TEXT_SIZE];

	pci_format(address, text);
	if (!read_link_name(text, "driver", ret, size))
		ret[0] = '\0';
}

bool pci_driver_is_vfio(const char *driver)
{
	return driver && strstr(driver, "vfio");
}

int pci_is_bus_master(const struct pci_address *address, bool *ret, struct err *e)
{
	char text[PCI_TEXT_SIZE], path[128];
	CLEANUP_CLOSE int fd = -1;
	unsigned char command[2];

	pci_format(address, text);
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/config", text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set_sys(e, errno, "%s", path);
	if (pread(fd, command, sizeof(command), COMMAND_OFFSET) != sizeof(command))
		return err_set_sys(e, errno ? errno : EIO, "%s", path);
	/* What reads as ones alone is nothing: the function has fallen off its bus. */
	if (command[0] == 0xff && command[1] == 0xff)
		return err_set(e, "%s does not answer: its configuration space reads as ones",
			text);
	*ret = command[0] & COMMAND_BUS_MASTER;
	return 0;
}

/* ---- IOMMU groups ---- */

/*
 * What may stay in a group: bridges, and what no driver of the host works with. pci-stub is the kernel's driver
 * that only holds a device for others; it and pcieport leave DMA alone (driver_managed_dma in
 * drivers/pci/pci-stub.c and drivers/pci/pcie/portdrv.c; before 5.19 vfio_driver_allowed in drivers/vfio/vfio.c).
 */
static bool is_harmless_member(const char *device)
{
	CLEANUP_FREE char *path = str_printf(PCI_DEVICES "/%s/class", device);
	char driver[32] = "", class[16] = "";
	FILE *f = fopen(path, "re");

	if (f) {
		if (!fgets(class, sizeof(class), f))
			class[0] = '\0';
		fclose(f);
	}
	read_link_name(device, "driver", driver, sizeof(driver));
	return str_starts(class, "0x0604") || !driver[0] || strstr(driver, "vfio") ||
	       str_equal(driver, "pci-stub") || str_equal(driver, "pcieport");
}

char *pci_group_trouble(const struct pci_address *address)
{
	char text[PCI_TEXT_SIZE], driver[32] = "";
	CLEANUP_FREE char *path = NULL;
	struct dirent **names;
	char *why = NULL;
	int n;

	if (access(IOMMU_GROUPS, F_OK) < 0)
		return NULL;
	pci_format(address, text);
	path = str_printf(PCI_DEVICES "/%s/iommu_group/devices", text);
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0)
		return str_dup("it has no IOMMU group: is the IOMMU switched on?");
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;

		if (!why && name[0] != '.' && !str_equal(name, text) && !is_harmless_member(name)) {
			read_link_name(name, "driver", driver, sizeof(driver));
			why = str_printf("it shares its IOMMU group with %s, which the host uses "
					 "(driver %s)",
				name, driver);
		}
		free(names[i]);
	}
	free(names);
	return why;
}

/* Which of the two paths process PID has open; NULL: neither. */
static const char *has_open(const char *pid, const char *one, const char *other)
{
	CLEANUP_FREE char *name = str_printf("/proc/%s/fd", pid);
	DIR *dir = opendir(name);
	const char *found = NULL;
	struct dirent *entry;

	while (dir && !found && (entry = readdir(dir))) {
		char target[64];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		found = str_equal(target, one) ? one : str_equal(target, other) ? other : NULL;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The node by which iommufd opens the device alone, without its group; NULL where there is none. */
static char *own_node(const char *device)
{
	CLEANUP_FREE char *path = str_printf(PCI_DEVICES "/%s/vfio-dev", device);
	DIR *dir = opendir(path);
	struct dirent *entry;
	char *node = NULL;

	while (dir && !node && (entry = readdir(dir)))
		if (str_starts(entry->d_name, "vfio"))
			node = str_printf("/dev/vfio/devices/%s", entry->d_name);
	if (dir)
		closedir(dir);
	return node;
}

/*
 * Opening the group would tell as well (EBUSY), but then so would whoever starts a guest with it at
 * that moment be told.
 */
static char *vfio_user(const char *device)
{
	CLEANUP_FREE char *node = own_node(device);
	CLEANUP_FREE char *path = NULL;
	struct dirent *entry;
	char *user = NULL;
	char group[32];
	DIR *proc;

	if (!read_link_name(device, "iommu_group", group, sizeof(group)))
		return NULL;
	path = str_printf("/dev/vfio/%s", group);
	proc = opendir("/proc");
	while (proc && !user && (entry = readdir(proc))) {
		bool is_process = entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
		const char *open = is_process ? has_open(entry->d_name, path, node) : NULL;

		if (open)
			user = str_printf("process %s has %s open", entry->d_name, open);
	}
	if (proc)
		closedir(proc);
	return user;
}

static char *vdpa_user(const char *device)
{
	CLEANUP_FREE char *path = str_printf(PCI_DEVICES "/%s", device);
	struct dirent *entry;
	DIR *dir = opendir(path);
	char *user = NULL;

	while (dir && !user && (entry = readdir(dir)))
		if (str_starts(entry->d_name, "vdpa"))
			user = str_printf("it carries the vDPA device %s", entry->d_name);
	if (dir)
		closedir(dir);
	return user;
}

char *pci_hidden_user(const struct pci_address *address)
{
	char text[PCI_TEXT_SIZE], driver[32] = "";

	pci_format(address, text);
	read_link_name(text, "driver", driver, sizeof(driver));
	return pci_driver_is_vfio(driver) ? vfio_user(text) : vdpa_user(text);
}

/* ---- network devices ---- */

static bool read_device_name(const char *netdev, const char *name, char *ret, size_t size)
{
	CLEANUP_FREE char *path = str_printf("/sys/class/net/%s/device%s", netdev, name);
	CLEANUP_FREE char *real = realpath(path, NULL);
	const char *end = real ? strrchr(real, '/') : NULL;

	if (!end)
		return false;
	str_copy(ret, size, end + 1);
	return true;
}

int pci_of_netdev(const char *netdev, char ret[PCI_TEXT_SIZE], struct err *e)
{
	struct pci_address address;
	char name[64];

	if (!read_device_name(netdev, "", name, sizeof(name)) || pci_parse(name, &address) < 0)
		return err_set_kind(e, ERR_NOT_FOUND, "%s is no PCI device", netdev);
	pci_format(&address, ret);
	return 0;
}

bool pci_lacks_vfs(const char *netdev)
{
	CLEANUP_FREE char *total = str_printf("/sys/class/net/%s/device/sriov_totalvfs", netdev);
	CLEANUP_FREE char *first = str_printf("/sys/class/net/%s/device/virtfn0", netdev);

	return access(total, F_OK) == 0 && access(first, F_OK) < 0;
}
