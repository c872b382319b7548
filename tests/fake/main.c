/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake-host: what happens on a pretended host by itself (daemons, QEMU, guest), and what a test
 * sets up or looks at there. Hosts are named by the first argument behind the command.
 */
#include <fcntl.h>
#include <ftw.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain.h"
#include "migrate.h"
#include "nic.h"
#include "relay.h"
#include "world.h"

static void find_or_die(const char *host, const char *key, struct dom *ret)
{
	if (dom_find(host, key, false, ret) || dom_find(host, key, true, ret))
		return;
	fprintf(stderr, "fake-host: no domain %s on %s\n", key, host);
	exit(2);
}

static int die_of_failure(void)
{
	fprintf(stderr, "fake-host: %s\n", failure.message);
	return 1;
}

static void cover(const char *path, const char *by)
{
	if (mount(by ? by : "none", path, by ? NULL : "tmpfs", by ? MS_BIND : 0, NULL) < 0) {
		perror(path);
		exit(2);
	}
}

/* What every process of the host sees: its own sysfs, no state from before, the program in PATH. */
static void mount_all(const char *host)
{
	CLEANUP_TEXT char *sys = world_path("%s/sys", host);
	CLEANUP_TEXT char *kmsg = world_path("%s/kmsg", host);
	CLEANUP_TEXT char *program = world_path("bin/sriov-migrate");

	cover("/sys", sys);
	cover("/dev/kmsg", kmsg);
	if (access("/dev/vhost-net", F_OK) == 0)
		cover("/dev/vhost-net", kmsg);
	cover("/run", NULL);
	cover("/var/lib", NULL);
	cover("/usr/local/sbin", NULL);
	if (mkdir("/run/lock", 0755) < 0 || symlink(program, "/usr/local/sbin/sriov-migrate") < 0)
		exit(2);
}

/*
 * HOST: stays in the namespaces it was started in until its parent or the test ends. The switch has no
 * files of its own.
 */
static int cmd_hold(char **argv)
{
	CLEANUP_TEXT char *path = world_path("%s/pid", argv[0]);
	CLEANUP_TEXT char *pid = text("%d\n", (int)getpid());

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(argv[0], "switch") != 0)
		mount_all(argv[0]);
	world_write(path, pid);
	while (world_is_alive())
		sleep_ms(1000);
	return 0;
}

static int cmd_nic(char **argv)
{
	/* HOST PF ADDRESS DRIVER VF-DRIVER COUNT UPLINK-INDEX UPLINK-NAME */
	return nic_create(argv[0], argv[1], argv[2], argv[3], argv[4], atoi(argv[5]), atoi(argv[6]),
		argv[7]);
}

static int cmd_define(char **argv)
{
	CLEANUP_TEXT char *xml = world_read(argv[1]);
	struct dom d;

	if (!xml || dom_define(argv[0], xml, &d) < 0)
		return die_of_failure();
	return 0;
}

static int cmd_start(char **argv)
{
	struct dom d;

	find_or_die(argv[0], argv[1], &d);
	return dom_start(&d) < 0 ? die_of_failure() : 0;
}

/* Starts a domain that has no definition: HOST FILE. */
static int cmd_create(char **argv)
{
	struct dom d;

	if (cmd_define(argv))
		return 1;
	{
		CLEANUP_TEXT char *xml = world_read(argv[1]);
		CLEANUP_DOC xmlDoc *doc = doc_parse(xml);
		xmlChar *name = xmlNodeGetContent(node_child(xmlDocGetRootElement(doc), "name"));

		find_or_die(argv[0], (const char *)name, &d);
		xmlFree(name);
	}
	if (dom_start(&d) < 0)
		return die_of_failure();
	dom_undefine(&d);
	return 0;
}

static int cmd_stop(char **argv)
{
	struct dom d;

	find_or_die(argv[0], argv[1], &d);
	dom_stop(&d, VIR_DOMAIN_SHUTOFF_DESTROYED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
	return 0;
}

/* HOST DOMAIN ALIAS: an unplug by somebody else, at once. */
static int cmd_detach(char **argv)
{
	struct dom d;

	find_or_die(argv[0], argv[1], &d);
	dom_finish_detach(&d, argv[2]);
	return 0;
}

static int cmd_autostart(char **argv)
{
	struct dom d;

	find_or_die(argv[0], argv[1], &d);
	dom_write(&d, "autostart", "");
	return 0;
}

static int cmd_xml(char **argv)
{
	/* HOST DOMAIN live|inactive|migratable */
	CLEANUP_TEXT char *xml = NULL;
	struct dom d;

	find_or_die(argv[0], argv[1], &d);
	if (strcmp(argv[2], "live") == 0 && !dom_is_active(&d))
		return 1;
	xml = dom_xml(&d,
		VIR_DOMAIN_XML_SECURE |
			(strcmp(argv[2], "inactive") == 0            ? VIR_DOMAIN_XML_INACTIVE
				: strcmp(argv[2], "migratable") == 0 ? VIR_DOMAIN_XML_MIGRATABLE
								     : 0));
	if (!xml)
		return die_of_failure();
	fputs(xml, stdout);
	return 0;
}

/* HOST PF INDEX [MAC]: shows a VF's attributes, or sets its MAC as an administrator would. */
static int cmd_vf(char **argv)
{
	struct vf_attr attr;
	char mac[18];
	struct vf vf;

	if (!vf_by_index(argv[0], argv[1], atoi(argv[2]), &vf))
		return 1;
	vf_get(&vf, &attr);
	if (argv[3] && mac_from_text(argv[3], attr.mac))
		vf_put(&vf, &attr);
	mac_text(attr.mac, mac);
	printf("%s\n", mac);
	return 0;
}

/* HOST PF INDEX NAME VALUE: an attribute as ip-link(8) names it */
static int cmd_vf_set(char **argv)
{
	struct vf_attr attr;
	struct vf vf;

	if (!vf_by_index(argv[0], argv[1], atoi(argv[2]), &vf))
		return 1;
	vf_get(&vf, &attr);
	if (!vf_attr_by_name(&attr, argv[3]))
		return 2;
	*vf_attr_by_name(&attr, argv[3]) = atoi(argv[4]);
	vf_put(&vf, &attr);
	return 0;
}

/* HOST PF MAC: who gets frames for it */
static int cmd_delivers(char **argv)
{
	uint8_t mac[6];

	if (!mac_from_text(argv[2], mac))
		return 1;
	switch_print(argv[0], argv[1], mac);
	return 0;
}

static int cmd_bind(char **argv)
{
	/* HOST PF INDEX DRIVER ("" for none) */
	struct vf vf;

	if (!vf_by_index(argv[0], argv[1], atoi(argv[2]), &vf))
		return 1;
	vf_bind(&vf, argv[3]);
	return 0;
}

/* ---- what a host looks like ---- */

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show_live(const struct dom *d, const char *name)
{
	CLEANUP_DOC xmlDoc *live = dom_live(d);
	char *lines[64];
	size_t n = 0;

	for (xmlNode *v = live ? device_next(doc_devices(live), NULL) : NULL; v && n < 64;
		v = device_next(NULL, v)) {
		xmlNode *source = node_child(v, "source"), *order[16];
		CLEANUP_TEXT char *line = NULL;
		size_t k = 0;

		/* Where a device stands, and in which order its parts do, is no difference. */
		xmlUnsetProp(source, (const xmlChar *)"portid");
		for (xmlNode *c = v->children, *next; c && k < 16; c = next) {
			next = c->next;
			xmlUnlinkNode(c);
			if (c->type == XML_ELEMENT_NODE)
				order[k++] = c;
			else
				xmlFreeNode(c);
		}
		for (size_t i = 0; i < k; i++)
			for (size_t j = i + 1; j < k; j++)
				if (xmlStrcmp(order[i]->name, order[j]->name) > 0) {
					xmlNode *swap = order[i];

					order[i] = order[j];
					order[j] = swap;
				}
		for (size_t i = 0; i < k; i++)
			xmlAddChild(v, order[i]);
		line = node_text(v);
		for (char *s = line; *s; s++)
			*s = *s == '\n' ? ' ' : *s;
		lines[n++] = text("domain %s live %s", name, line);
	}
	qsort(lines, n, sizeof(lines[0]), compare_lines);
	for (size_t i = 0; i < n; i++) {
		puts(lines[i]);
		free(lines[i]);
	}
}

static void show_domain(const struct dom *d)
{
	CLEANUP_TEXT char *inactive = dom_read(d, "inactive.xml");
	int state, reason;

	dom_state(d, &state, &reason);
	printf("domain %s %s state %d%s%s job %d\n", d->name, d->uuid, state,
		state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION ? " (migration)"
										    : "",
		dom_autostart(d) ? " autostart" : "", dom_job(d));
	show_live(d, d->name);
	if (inactive)
		printf("domain %s inactive:\n%s", d->name, inactive);
}

static void show_vf(const struct vf *vf)
{
	CLEANUP_TEXT char *driver = vf_driver(vf);
	struct vf_attr attr;
	char mac[18];

	vf_get(vf, &attr);
	mac_text(attr.mac, mac);
	printf("vf %s %d %s mac %s vlan %d qos %d proto %x spoofchk %d trust %d state %d "
	       "query_rss %d min_tx_rate %d max_tx_rate %d driver %s command %04x\n",
		vf->pf, vf->index, vf->address, mac, attr.vlan, attr.qos, attr.protocol,
		attr.spoofchk, attr.trust, attr.link_state, attr.query_rss, attr.min_rate,
		attr.max_rate, driver, vf_get_command(vf));
}

/* HOST PF…: domains and VFs, in a form that compares. */
static int cmd_show(char **argv)
{
	struct dom *list;
	size_t n = dom_list(argv[0], &list);

	for (size_t i = 0; i < n; i++)
		show_domain(&list[i]);
	free(list);
	for (char **pf = argv + 1; *pf; pf++) {
		struct vf vf;

		for (int i = 0; vf_by_index(argv[0], *pf, i, &vf); i++)
			show_vf(&vf);
	}
	return 0;
}

static bool is_held(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;

	if (fd >= 0)
		close(fd);
	return held;
}

static int show_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	size_t length = strlen(path);
	bool is_lock = length > 5 && strcmp(path + length - 5, ".lock") == 0;

	if (type == FTW_F && (!is_lock || is_held(path)))
		printf("file %s\n", path);
	return 0;
}

/*
 * HOST: what the program has left. Journals, and locks that somebody holds; the file of a lock that
 * nobody holds means nothing.
 */
static int cmd_files(char **argv)
{
	nftw("/run/sriov-migrate", show_file, 8, FTW_PHYS);
	nftw("/var/lib/sriov-migrate", show_file, 8, FTW_PHYS);
	return 0;
}

/* ---- background ---- */

static int cmd_drive(char **argv)
{
	struct dom d;

	if (dom_find(argv[0], argv[1], false, &d))
		dom_guest_drives(&d, argv[2]);
	return 0;
}

static int cmd_undo_plug(char **argv)
{
	struct dom d;

	if (dom_find(argv[0], argv[1], false, &d))
		dom_finish_detach(&d, argv[2]);
	return 0;
}

static int cmd_obey_late(char **argv)
{
	struct dom d;

	if (dom_find(argv[0], argv[1], false, &d))
		dom_obey_late(&d, argv[2]);
	return 0;
}

static int cmd_migrate(char **argv)
{
	struct dom d;

	if (dom_find(argv[0], argv[1], false, &d))
		migrate_run(&d, argv[2], (unsigned int)strtoul(argv[3], NULL, 10),
			strcmp(argv[4], "client") == 0);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **argv);
	int n_args;
} commands[] = {
	{ "hold", cmd_hold, 1 },
	{ "nic", cmd_nic, 8 },
	{ "define", cmd_define, 2 },
	{ "start", cmd_start, 2 },
	{ "create", cmd_create, 2 },
	{ "stop", cmd_stop, 2 },
	{ "detach", cmd_detach, 3 },
	{ "autostart", cmd_autostart, 2 },
	{ "xml", cmd_xml, 3 },
	{ "vf", cmd_vf, 3 },
	{ "vf-set", cmd_vf_set, 5 },
	{ "bind", cmd_bind, 4 },
	{ "delivers", cmd_delivers, 3 },
	{ "show", cmd_show, 1 },
	{ "files", cmd_files, 1 },
	{ "drive", cmd_drive, 3 },
	{ "undo-plug", cmd_undo_plug, 3 },
	{ "obey-late", cmd_obey_late, 3 },
	{ "migrate", cmd_migrate, 5 },
	{ "relay", relay, 1 },
};

static int run(int argc, char **argv)
{
	for (size_t i = 0; argc > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, argv[0]) == 0 && argc - 1 >= commands[i].n_args)
			return commands[i].run(argv + 1);
	fprintf(stderr, "fake-host: wrong command or arguments\n");
	return 2;
}

/* One command, or several with a "," between them, up to the first that fails. */
int main(int argc, char **argv)
{
	int r = argc > 1 ? 0 : run(0, NULL);

	/* Whoever starts it by hand is on the host that it works on. */
	if (!getenv("FAKE_HOST"))
		setenv("FAKE_HOST", "none", 1);
	for (int i = 1, n; i < argc && r == 0; i += n + 1) {
		for (n = 0; i + n < argc && strcmp(argv[i + n], ",") != 0; n++)
			;
		argv[i + n] = NULL;
		r = run(n, argv + i);
	}
	return r;
}
