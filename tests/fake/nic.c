/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

enum { CONFIG_SIZE = 64, COMMAND_OFFSET = 4, VF_OFFSET = 0x80, VF_STRIDE = 2 };

/* ---- sysfs ---- */

static void make_dirs(const char *path)
{
	CLEANUP_TEXT char *part = strdup(path);

	for (char *s = part + 1; (s = strchr(s, '/')); *s++ = '/') {
		*s = '\0';
		mkdir(part, 0755);
	}
	mkdir(path, 0755);
}

static char *device_path(const char *host, const char *address, const char *rest)
{
	return world_path("%s/sys/devices/pci/%s/%s", host, address, rest);
}

static void link_device(const char *host, const char *address, const char *name, const char *target)
{
	CLEANUP_TEXT char *path = device_path(host, address, name);

	unlink(path);
	if (symlink(target, path) < 0)
		abort();
}

static void link_driver(const char *host, const char *address, const char *driver)
{
	CLEANUP_TEXT char *dir = world_path("%s/sys/bus/pci/drivers/%s", host, driver);
	CLEANUP_TEXT char *target = text("../../../bus/pci/drivers/%s", driver);

	make_dirs(dir);
	link_device(host, address, "driver", target);
}

static void write_config(const char *host, const char *address, unsigned int command)
{
	CLEANUP_TEXT char *path = device_path(host, address, "config");
	unsigned char config[CONFIG_SIZE] = { 0x86, 0x80, 0xca, 0x10 };
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	config[COMMAND_OFFSET] = command & 0xff;
	config[COMMAND_OFFSET + 1] = command >> 8;
	if (fd < 0 || write(fd, config, sizeof(config)) != sizeof(config))
		abort();
	close(fd);
}

static void add_net_dir(const char *host, const char *address, const char *name)
{
	CLEANUP_TEXT char *dir = device_path(host, address, "net");
	CLEANUP_TEXT char *net = text("%s/%s", dir, name);
	CLEANUP_TEXT char *device = text("%s/device", net);
	CLEANUP_TEXT char *class = world_path("%s/sys/class/net/%s", host, name);
	CLEANUP_TEXT char *target = text("../../devices/pci/%s/net/%s", address, name);

	make_dirs(net);
	if (symlink("../..", device) < 0 && errno != EEXIST)
		abort();
	if (symlink(target, class) < 0 && errno != EEXIST)
		abort();
}

static void remove_net_dir(const char *host, const char *address, const char *name)
{
	CLEANUP_TEXT char *dir = device_path(host, address, "net");
	CLEANUP_TEXT char *net = text("%s/%s", dir, name);
	CLEANUP_TEXT char *device = text("%s/device", net);
	CLEANUP_TEXT char *class = world_path("%s/sys/class/net/%s", host, name);

	unlink(class);
	unlink(device);
	rmdir(net);
	rmdir(dir);
}

static void add_function(const char *host, const char *address, const char *driver)
{
	CLEANUP_TEXT char *dir = device_path(host, address, "");
	CLEANUP_TEXT char *link = world_path("%s/sys/bus/pci/devices/%s", host, address);
	CLEANUP_TEXT char *target = text("../../../devices/pci/%s", address);

	make_dirs(dir);
	if (symlink(target, link) < 0 && errno != EEXIST)
		abort();
	link_driver(host, address, driver);
	write_config(host, address, COMMAND_HOST_DRIVES);
}

/* Each function has an IOMMU group of its own. */
static void add_iommu_group(const char *host, const char *address, int number)
{
	CLEANUP_TEXT char *members =
		world_path("%s/sys/kernel/iommu_groups/%d/devices", host, number);
	CLEANUP_TEXT char *member = text("%s/%s", members, address);
	CLEANUP_TEXT char *device = text("../../../../devices/pci/%s", address);
	CLEANUP_TEXT char *group = text("../../../kernel/iommu_groups/%d", number);

	make_dirs(members);
	if (symlink(device, member) < 0 && errno != EEXIST)
		abort();
	link_device(host, address, "iommu_group", group);
}

static void write_number(const char *host, const char *address, const char *name, int number)
{
	CLEANUP_TEXT char *path = device_path(host, address, name);
	CLEANUP_TEXT char *content = text("%d\n", number);

	world_write(path, content);
}

/* ---- network devices ---- */

int netns_enter(const char *host)
{
	CLEANUP_TEXT char *pid_path = world_path("%s/pid", host);
	CLEANUP_TEXT char *pid = world_read(pid_path);
	CLEANUP_TEXT char *path = NULL;
	int before, there;

	if (strcmp(host, world_host()) == 0)
		return -1;
	path = text("/proc/%d/ns/net", pid ? atoi(pid) : 0);
	before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (before < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) {
		perror(path);
		abort();
	}
	close(there);
	return before;
}

void netns_leave(int before)
{
	if (before < 0)
		return;
	if (setns(before, CLONE_NEWNET) < 0)
		abort();
	close(before);
}

static int netdev_flags(const char *name, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	memset(ifr, 0, sizeof(*ifr));
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	r = ioctl(fd, SIOCGIFFLAGS, ifr);
	close(fd);
	return r;
}

bool netdev_is_up(const char *name)
{
	struct ifreq ifr;

	return netdev_flags(name, &ifr) == 0 && ifr.ifr_flags & IFF_UP;
}

int netdev_set_up(const char *name)
{
	struct ifreq ifr;
	int fd, r;

	if (netdev_flags(name, &ifr) < 0)
		return -1;
	ifr.ifr_flags |= IFF_UP;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return r;
}

int tap_open(const char *pattern, bool persistent, char ret_name[IF_NAMESIZE])
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", pattern);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || (persistent && ioctl(fd, TUNSETPERSIST, 1UL) < 0)) {
		close(fd);
		return -1;
	}
	snprintf(ret_name, IF_NAMESIZE, "%.*s", IF_NAMESIZE - 1, ifr.ifr_name);
	return fd;
}

void tap_remove(const char *name)
{
	char same[IF_NAMESIZE];
	int fd;

	if (!if_nametoindex(name))
		return;
	fd = tap_open(name, false, same);
	if (fd < 0)
		return;
	ioctl(fd, TUNSETPERSIST, 0UL);
	close(fd);
}

static void add_netdev(const char *host, const char *name)
{
	int before = netns_enter(host), fd;
	char made[IF_NAMESIZE];

	fd = tap_open(name, true, made);
	if (fd >= 0)
		close(fd);
	netns_leave(before);
}

/* As a VF's driver does when it is probed: the device takes the MAC that the PF has for it. */
static void take_mac(const struct vf *vf, const char *name)
{
	int before = netns_enter(vf->host), fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };
	struct vf_attr attr;

	vf_get(vf, &attr);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, attr.mac, sizeof(attr.mac));
	ioctl(fd, SIOCSIFHWADDR, &ifr); /* not one of zeros */
	close(fd);
	netns_leave(before);
}

static void remove_netdev(const char *host, const char *name)
{
	int before = netns_enter(host);

	tap_remove(name);
	netns_leave(before);
}

/* ---- PF and VFs ---- */

static void add_vf(const char *host, const char *pf, const char *pf_address, int index,
	const char *vf_driver, const char *netdev, bool make_netdev)
{
	unsigned int domain = 0, bus = 0, slot, devfn = VF_OFFSET + VF_STRIDE * (unsigned int)index;
	/* As igb, ixgbe, i40e and ice have it. */
	struct vf_attr attr = { .mac = { 0x02, 0, 0, 0, (uint8_t)pf[0], (uint8_t)index },
		.spoofchk = 1,
		.protocol = 0x8100 };
	struct vf vf = { .index = index };
	CLEANUP_TEXT char *name_path = world_path("%s/vf/%s/%d.netdev", host, pf, index);
	CLEANUP_TEXT char *driver_path = world_path("%s/vf/%s/%d.driver", host, pf, index);
	CLEANUP_TEXT char *link = text("virtfn%d", index);
	CLEANUP_TEXT char *target = NULL;
	CLEANUP_TEXT char *back = text("../%s", pf_address);

	sscanf(pf_address, "%x:%x:%x", &domain, &bus, &slot);
	snprintf(vf.address, sizeof(vf.address), "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff,
		devfn >> 3 & 0x1f, devfn & 7);
	snprintf(vf.host, sizeof(vf.host), "%s", host);
	snprintf(vf.pf, sizeof(vf.pf), "%s", pf);
	target = text("../%s", vf.address);
	add_function(host, vf.address, vf_driver);
	add_iommu_group(host, vf.address, 1000 * (int)bus + index);
	link_device(host, pf_address, link, target);
	link_device(host, vf.address, "physfn", back);
	world_write(name_path, netdev);
	world_write(driver_path, vf_driver);
	vf_put(&vf, &attr);
	add_net_dir(host, vf.address, netdev);
	if (make_netdev)
		add_netdev(host, netdev);
}

int nic_create(const char *host, const char *pf, const char *address, const char *driver,
	const char *vf_driver, int count, int uplink, const char *uplink_name)
{
	CLEANUP_TEXT char *class = world_path("%s/sys/class/net", host);
	CLEANUP_TEXT char *devices = world_path("%s/sys/bus/pci/devices", host);
	CLEANUP_TEXT char *vfs = world_path("%s/vf/%s", host, pf);

	make_dirs(class);
	make_dirs(devices);
	make_dirs(vfs);
	add_function(host, address, driver);
	add_iommu_group(host, address, pf[0]);
	add_net_dir(host, address, pf);
	write_number(host, address, "sriov_numvfs", count);
	write_number(host, address, "sriov_totalvfs", 7);
	for (int i = 0; i < count; i++) {
		CLEANUP_TEXT char *name = i == uplink ? strdup(uplink_name) : text("%sv%d", pf, i);

		add_vf(host, pf, address, i, vf_driver, name, i != uplink);
	}
	return 0;
}

static bool read_link_end(const char *path, char *ret, size_t size)
{
	char target[512];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *end;

	if (n < 0)
		return false;
	target[n] = '\0';
	end = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (strlen(end) >= size)
		return false;
	memcpy(ret, end, strlen(end) + 1);
	return true;
}

bool vf_by_index(const char *host, const char *pf, int index, struct vf *ret)
{
	CLEANUP_TEXT char *path =
		world_path("%s/sys/class/net/%s/device/virtfn%d", host, pf, index);
	struct vf vf = { .index = index };

	if (!read_link_end(path, vf.address, sizeof(vf.address)))
		return false;
	snprintf(vf.host, sizeof(vf.host), "%s", host);
	snprintf(vf.pf, sizeof(vf.pf), "%s", pf);
	*ret = vf;
	return true;
}

int pf_count_vfs(const char *host, const char *pf)
{
	struct vf vf;
	int n = 0;

	while (vf_by_index(host, pf, n, &vf))
		n++;
	return n;
}

/* The PF's network device: the one whose attributes are kept. */
static bool name_of_pf(const char *host, const char *pf_address, char ret[IF_NAMESIZE])
{
	CLEANUP_TEXT char *path = device_path(host, pf_address, "net");
	DIR *dir = opendir(path);
	bool found = false;
	struct dirent *d;

	while (dir && !found && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(ret, IF_NAMESIZE, "%.*s", IF_NAMESIZE - 1, d->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

int vf_find(const char *host, const char *address, struct vf *ret)
{
	CLEANUP_TEXT char *physfn = device_path(host, address, "physfn");
	char pf_address[ADDRESS_SIZE], pf[IF_NAMESIZE];

	if (!read_link_end(physfn, pf_address, sizeof(pf_address)) ||
		!name_of_pf(host, pf_address, pf))
		return fail(VIR_ERR_INTERNAL_ERROR,
			"Device %s not found: could not access "
			"/sys/bus/pci/devices/%s/config: "
			"No such file or directory",
			address, address);
	for (int i = 0; vf_by_index(host, pf, i, ret); i++)
		if (strcmp(ret->address, address) == 0)
			return 0;
	return fail(VIR_ERR_INTERNAL_ERROR, "%s is no VF", address);
}

char *vf_driver(const struct vf *vf)
{
	CLEANUP_TEXT char *path = device_path(vf->host, vf->address, "driver");
	char driver[64] = "";

	read_link_end(path, driver, sizeof(driver));
	return strdup(driver);
}

static char *vf_note(const struct vf *vf, const char *what)
{
	CLEANUP_TEXT char *path = world_path("%s/vf/%s/%d.%s", vf->host, vf->pf, vf->index, what);

	return world_read(path);
}

void vf_bind(const struct vf *vf, const char *driver)
{
	CLEANUP_TEXT char *netdev = vf_note(vf, "netdev");
	CLEANUP_TEXT char *own = vf_note(vf, "driver");
	CLEANUP_TEXT char *now = vf_driver(vf);
	CLEANUP_TEXT char *link = device_path(vf->host, vf->address, "driver");

	if (strcmp(now, driver) == 0)
		return;
	if (strcmp(now, own) == 0) {
		remove_netdev(vf->host, netdev);
		remove_net_dir(vf->host, vf->address, netdev);
	}
	unlink(link);
	vf_set_command(vf, COMMAND_RESET);
	if (!*driver)
		return;
	link_driver(vf->host, vf->address, driver);
	if (strcmp(driver, own) != 0)
		return;
	add_netdev(vf->host, netdev);
	take_mac(vf, netdev);
	add_net_dir(vf->host, vf->address, netdev);
	vf_set_command(vf, COMMAND_HOST_DRIVES);
}

void vf_set_command(const struct vf *vf, unsigned int word)
{
	write_config(vf->host, vf->address, word);
}

unsigned int vf_get_command(const struct vf *vf)
{
	CLEANUP_TEXT char *path = device_path(vf->host, vf->address, "config");
	unsigned char word[2] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, word, sizeof(word), COMMAND_OFFSET) != sizeof(word))
		abort();
	close(fd);
	return word[0] | word[1] << 8;
}

/* ---- attributes ---- */

void mac_text(const uint8_t mac[6], char ret[18])
{
	snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
}

bool mac_from_text(const char *s, uint8_t ret[6])
{
	return sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret[0], &ret[1], &ret[2], &ret[3],
		       &ret[4], &ret[5]) == 6;
}

static char *attr_path(const struct vf *vf)
{
	return world_path("%s/vf/%s/%d", vf->host, vf->pf, vf->index);
}

void vf_get(const struct vf *vf, struct vf_attr *ret)
{
	CLEANUP_TEXT char *path = attr_path(vf);
	CLEANUP_TEXT char *content = world_read(path);
	char mac[18] = "";

	*ret = (struct vf_attr){ 0 };
	if (content)
		sscanf(content,
			"%17s vlan %d spoofchk %d trust %d state %d query_rss %d min_tx_rate %d "
			"max_tx_rate %d qos %d proto %d",
			mac, &ret->vlan, &ret->spoofchk, &ret->trust, &ret->link_state,
			&ret->query_rss, &ret->min_rate, &ret->max_rate, &ret->qos, &ret->protocol);
	mac_from_text(mac, ret->mac);
}

void vf_put(const struct vf *vf, const struct vf_attr *attr)
{
	CLEANUP_TEXT char *path = attr_path(vf);
	CLEANUP_TEXT char *content = NULL;
	char mac[18];

	mac_text(attr->mac, mac);
	content = text("%s vlan %d spoofchk %d trust %d state %d query_rss %d min_tx_rate %d "
		       "max_tx_rate %d qos %d proto %d\n",
		mac, attr->vlan, attr->spoofchk, attr->trust, attr->link_state, attr->query_rss,
		attr->min_rate, attr->max_rate, attr->qos, attr->protocol);
	world_write(path, content);
}

int *vf_attr_by_name(struct vf_attr *attr, const char *name)
{
	const struct {
		const char *name;
		int *value;
	} all[] = {
		{ "vlan", &attr->vlan },
		{ "qos", &attr->qos },
		{ "proto", &attr->protocol },
		{ "spoofchk", &attr->spoofchk },
		{ "trust", &attr->trust },
		{ "state", &attr->link_state },
		{ "query_rss", &attr->query_rss },
		{ "min_tx_rate", &attr->min_rate },
		{ "max_tx_rate", &attr->max_rate },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i].value;
	return NULL;
}

bool vf_lacks(const char *host, const char *name)
{
	CLEANUP_TEXT char *all = world_text(host, "vf.lacks", "");
	char *rest = NULL;

	for (char *word = strtok_r(all, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
		if (strcmp(word, name) == 0)
			return true;
	return false;
}

/* Takes one from a counter kept as a setting; true while it was not used up. */
static bool count_down(const char *host, const char *key)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	long left = world_number(host, key, 0);
	CLEANUP_TEXT char *path = world_path("set/%s.%s", host, key);
	CLEANUP_TEXT char *value = text("%ld\n", left - 1);

	if (left <= 0)
		return false;
	world_write(path, value);
	return true;
}

/*
 * Settings: vf.zero=ERRNO (refuses the zero MAC), vf.busy=N (the first N changes find the VF
 * busy), vf.error=ERRNO (refuses all), vf.deaf=1 (agrees, and keeps the old one).
 */
int vf_set_mac(const struct vf *vf, const uint8_t mac[6])
{
	static const uint8_t zero[6];
	CLEANUP_TEXT char *owner = NULL;
	struct vf_attr attr;
	char shown[18];
	long error = world_number(vf->host, "vf.error", 0);

	mac_text(mac, shown);
	if (error)
		return (int)error;
	if (count_down(vf->host, "vf.busy"))
		return EBUSY;
	if (memcmp(mac, zero, sizeof(zero)) == 0 && world_number(vf->host, "vf.zero", 0))
		return (int)world_number(vf->host, "vf.zero", 0);
	world_log(vf->host, "vf %s %d mac %s", vf->pf, vf->index, shown);
	if (world_number(vf->host, "vf.deaf", 0))
		return 0;
	vf_get(vf, &attr);
	owner = text("vf%d", vf->index);
	switch_drop(vf->host, vf->pf, attr.mac, owner);
	if (memcmp(mac, zero, sizeof(zero)) != 0)
		switch_ask(vf->host, vf->pf, mac, owner);
	memcpy(attr.mac, mac, 6);
	vf_put(vf, &attr);
	return 0;
}

/* ---- the embedded switch ---- */

/* A file for each MAC: a line for each who asked, in that order, "OWNER granted|refused". */
static char *switch_path(const char *host, const char *pf, const uint8_t mac[6])
{
	char shown[18];

	mac_text(mac, shown);
	return world_path("%s/vf/%s/for-%s", host, pf, shown);
}

static bool switch_is(const char *host, const char *pf, const char *behaviour)
{
	static const struct {
		const char *driver, *behaviour;
	} known[] = {
		{ "ixgbe", "uplink-wins" },
		{ "mlx5_core", "refuses" },
	};
	CLEANUP_TEXT char *told = world_text(host, "nic.behaves", "");
	CLEANUP_TEXT char *link = world_path("%s/sys/class/net/%s/device/driver", host, pf);
	const char *is = "replicates";
	char driver[64] = "";

	read_link_end(link, driver, sizeof(driver));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].driver, driver) == 0)
			is = known[i].behaviour;
	told[strcspn(told, "\n")] = '\0';
	return strcmp(*told ? told : is, behaviour) == 0;
}

/* The list without OWNER; caller frees. */
static char *list_without(const char *list, const char *owner)
{
	CLEANUP_TEXT char *copy = strdup(list ? list : "");
	char *rest = NULL, *kept = strdup("");

	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t len = strlen(owner);
		char *longer;

		if (strncmp(line, owner, len) == 0 && line[len] == ' ')
			continue;
		longer = text("%s%s\n", kept, line);
		free(kept);
		kept = longer;
	}
	return kept;
}

void switch_ask(const char *host, const char *pf, const uint8_t mac[6], const char *owner)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_TEXT char *path = switch_path(host, pf, mac);
	CLEANUP_TEXT char *list = world_read(path);
	CLEANUP_TEXT char *others = list_without(list, owner);
	bool taken = strstr(others, " granted") != NULL;
	CLEANUP_TEXT char *now = text("%s%s %s\n", others, owner,
		taken && switch_is(host, pf, "refuses") ? "refused" : "granted");

	world_write(path, now);
}

void switch_drop(const char *host, const char *pf, const uint8_t mac[6], const char *owner)
{
	CLEANUP_LOCK __attribute__((unused)) int lock = world_lock();
	CLEANUP_TEXT char *path = switch_path(host, pf, mac);
	CLEANUP_TEXT char *list = world_read(path);
	CLEANUP_TEXT char *now = list_without(list, owner);

	if (list)
		world_write(path, now);
}

static bool vf_is_driven(const char *host, const char *pf, const char *owner)
{
	CLEANUP_TEXT char *driver = NULL;
	struct vf vf;

	if (!vf_by_index(host, pf, atoi(owner + strlen("vf")), &vf))
		return false;
	driver = vf_driver(&vf);
	return strcmp(driver, "vfio-pci") == 0 && vf_get_command(&vf) == COMMAND_GUEST_DRIVES;
}

void switch_print(const char *host, const char *pf, const uint8_t mac[6])
{
	CLEANUP_TEXT char *path = switch_path(host, pf, mac);
	CLEANUP_TEXT char *list = world_read(path);
	bool uplink_wins =
		list && switch_is(host, pf, "uplink-wins") && strstr(list, "uplink granted");
	char *rest = NULL;

	for (char *line = list ? strtok_r(list, "\n", &rest) : NULL; line;
		line = strtok_r(NULL, "\n", &rest)) {
		bool uplink = strncmp(line, "uplink ", 7) == 0;

		if (!strstr(line, " granted") || (uplink_wins && !uplink))
			continue;
		puts(uplink ? "uplink" : vf_is_driven(host, pf, line) ? "vf" : "nobody");
	}
}

bool switch_of_netdev(const char *host, const char *netdev, char ret_pf[IF_NAMESIZE])
{
	CLEANUP_TEXT char *path = world_path("%s/sys/class/net/%s/device/physfn", host, netdev);
	char pf_address[ADDRESS_SIZE];

	if (read_link_end(path, pf_address, sizeof(pf_address)))
		return name_of_pf(host, pf_address, ret_pf);
	if (!pf_count_vfs(host, netdev))
		return false;
	snprintf(ret_pf, IF_NAMESIZE, "%s", netdev);
	return true;
}

/* ---- what libvirt does ---- */

static char *saved_path(const struct vf *vf)
{
	return world_path("%s/hostdevmgr/%s_vf%d", vf->host, vf->pf, vf->index);
}

/* As libvirt does: whatever else is said of the tag is lost. */
static void set_vlan(const struct vf *vf, int vlan)
{
	struct vf_attr attr;

	vf_get(vf, &attr);
	attr.vlan = vlan;
	attr.qos = 0;
	attr.protocol = 0x8100;
	/* Setting vf.reset=1: a driver that resets the VF, and forgets about trust. */
	if (world_number(vf->host, "vf.reset", 0))
		attr.trust = 0;
	vf_put(vf, &attr);
}

static int program_mac(const struct vf *vf, const char *mac, int vlan)
{
	CLEANUP_TEXT char *path = saved_path(vf);
	CLEANUP_TEXT char *content = NULL;
	struct vf_attr attr;
	uint8_t wanted[6];
	char before[18];
	int error;

	if (!mac_from_text(mac, wanted))
		return fail(VIR_ERR_XML_ERROR, "unable to parse mac address '%s'", mac);
	if (!netdev_is_up(vf->pf))
		return fail(VIR_ERR_INTERNAL_ERROR,
			"Unable to configure VF %d of PF '%s' because the PF is not online. "
			"Please change host network config to put the PF online.",
			vf->index, vf->pf);
	vf_get(vf, &attr);
	mac_text(attr.mac, before);
	content = text("%s %d\n", before, attr.vlan);
	world_write(path, content);
	error = vf_set_mac(vf, wanted);
	if (error == 0)
		set_vlan(vf, vlan);
	if (error)
		return fail(VIR_ERR_SYSTEM_ERROR,
			"Cannot set interface MAC/vlanid to %s/%d for ifname %s vf %d: %s", mac,
			vlan, vf->pf, vf->index, strerror(error));
	return 0;
}

int vf_give_to_guest(const struct vf *vf, const char *mac, int vlan, bool managed)
{
	CLEANUP_TEXT char *driver = vf_driver(vf);
	int before, r = 0;

	if (!managed && strcmp(driver, "vfio-pci") != 0)
		return fail(VIR_ERR_OPERATION_INVALID,
			"Unmanaged PCI device %s must be manually detached from the host",
			vf->address);
	before = netns_enter(vf->host);
	if (managed)
		vf_bind(vf, "vfio-pci");
	if (mac)
		r = program_mac(vf, mac, vlan);
	if (r == 0) {
		vf_set_command(vf, COMMAND_GUEST_BOOTS);
	} else if (managed) {
		CLEANUP_TEXT char *own = vf_note(vf, "driver");

		vf_bind(vf, own);
	}
	netns_leave(before);
	return r;
}

void vf_take_from_guest(const struct vf *vf, bool managed)
{
	static const uint8_t instead_of_zero[6] = { 0x02 };
	CLEANUP_TEXT char *path = saved_path(vf);
	CLEANUP_TEXT char *saved = world_read(path);
	CLEANUP_TEXT char *own = vf_note(vf, "driver");
	uint8_t mac[6];

	if (saved && mac_from_text(saved, mac)) {
		if (vf_set_mac(vf, mac) == EINVAL)
			vf_set_mac(vf, instead_of_zero);
		set_vlan(vf, atoi(strchr(saved, ' ')));
	}
	unlink(path);
	vf_set_command(vf, COMMAND_RESET);
	if (managed)
		vf_bind(vf, own);
}
