/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks of the hosts, and of the domain as a whole. */
#include <stdlib.h>
#include <string.h>

#include "core/check_priv.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/virt.h"
#include "xml/domain.h"
#include "xml/pair.h"

void check_same_host(const struct check_view *v)
{
	if (str_equal(v->host->uuid, v->peer->uuid))
		check_found(v, NULL,
			"If it is not, both boards have one UUID: set host_uuid in libvirt's "
			"configuration.",
			"the destination, %s, is this host", v->peer->hostname);
}

/* libvirt compares names (qemuMigrationCookieXMLParse in src/qemu/qemu_migration_cookie.c). */
void check_same_hostname(const struct check_view *v)
{
	if (str_equal(v->host->hostname, v->peer->hostname) &&
		!str_equal(v->host->uuid, v->peer->uuid))
		check_found(v, NULL, "Give one of them another name, and restart libvirt there.",
			"both hosts are named %s, which libvirt takes for one host",
			v->peer->hostname);
}

void check_permission(const struct check_view *v)
{
	if (!v->host->net_admin)
		check_found(v, v->host,
			"Run as root: it takes access to libvirt, CAP_NET_ADMIN and "
			"/run/sriov-migrate.",
			"no permission to change network devices");
	if (v->host->no_locks)
		check_found(v, v->host, "Without a lock two runs could have one VF.",
			"no lock can be taken: %s", v->host->no_locks);
}

void check_journal_writable(const struct check_view *v)
{
	if (v->host->no_journal)
		check_found(v, v->host,
			"Nothing is changed on a host that cannot write it down first.",
			"the journal cannot be written: %s", v->host->no_journal);
}

void check_versions(const struct check_view *v)
{
	if (v->host->version && v->peer->version && !str_equal(v->host->version, v->peer->version))
		check_found(v, v->peer, "Install the same version on both hosts.",
			"sriov-migrate is version %s there, %s on %s", v->peer->version,
			v->host->version, v->host->hostname);
}

/* <teaming> came with libvirt 6.1, failover=on with QEMU 4.2. */
enum { LIBVIRT_NEEDED = 6001000, QEMU_NEEDED = 4002000 };

static char *version_text(int64_t version)
{
	return str_printf("%d.%d.%d", (int)(version / 1000000), (int)(version / 1000 % 1000),
		(int)(version % 1000));
}

static void check_version(const struct check_view *v, const char *what, int64_t has, int64_t needed)
{
	CLEANUP_FREE char *old = version_text(has);
	CLEANUP_FREE char *wanted = version_text(needed);

	if (has && has < needed)
		check_found(v, v->host, "It knows nothing of pairs.",
			"%s is version %s; it takes %s", what, old, wanted);
}

void check_libvirt(const struct check_view *v)
{
	check_version(v, "libvirt", v->host->libvirt, LIBVIRT_NEEDED);
}

void check_qemu(const struct check_view *v)
{
	check_version(v, "QEMU", v->host->qemu, QEMU_NEEDED);
}

static void compare_versions(const struct check_view *v, const char *what, int64_t here,
	int64_t there)
{
	CLEANUP_FREE char *ours = version_text(here);
	CLEANUP_FREE char *theirs = version_text(there);

	/* The last figure is for mended errors only. */
	if (here && there && there / 1000 < here / 1000)
		check_found(v, v->peer, "What is new in the domain may be unknown there.",
			"%s is version %s there, older than %s on %s", what, theirs, ours,
			v->host->hostname);
}

void check_older(const struct check_view *v)
{
	compare_versions(v, "libvirt", v->host->libvirt, v->peer->libvirt);
	compare_versions(v, "QEMU", v->host->qemu, v->peer->qemu);
}

enum { CLOCK_TOLERANCE_MS = 5000 };

void check_clocks(const struct check_view *v)
{
	int64_t apart = v->peer->clock_ms - v->host->clock_ms;

	if (!v->peer->clock_ms || !v->host->clock_ms || llabs(apart) <= CLOCK_TOLERANCE_MS)
		return;
	check_found(v, v->peer,
		"Is time synchronised on both hosts? libvirt's figures and TLS need it.",
		"the clock there is %lld s %s that of %s", llabs(apart) / 1000,
		apart > 0 ? "ahead of" : "behind", v->host->hostname);
}

/* ---- the domain where it is ---- */

/* The journal of V's domain on HOST (NULL: no such host), or NULL. */
static const struct journal_fact *journal_on(const struct check_view *v,
	const struct host_facts *host)
{
	for (size_t i = 0; host && i < host->n_journals; i++)
		if (str_equal(host->journals[i].uuid, v->host->domain.uuid))
			return &host->journals[i];
	return NULL;
}

/* Which run holds V's domain on HOST (NULL: no such host): where it is not defined the journal tells. */
static const char *owner_on(const struct check_view *v, const struct host_facts *host)
{
	const struct journal_fact *j = journal_on(v, host);

	if (host && host->has_domain && host->domain.lock_owner &&
		str_equal(host->domain.uuid, v->host->domain.uuid))
		return host->domain.lock_owner;
	return j ? j->owner : NULL;
}

void check_busy(const struct check_view *v)
{
	const char *here = owner_on(v, v->host), *owner = here ? here : owner_on(v, v->peer);

	if (owner)
		check_found(v, here ? v->host : v->peer,
			"Wait for the other run to end, or stop it with kill and its PID.",
			"domain %s is held by another run (%s)", v->host->domain.name, owner);
}

void check_journal_readable(const struct check_view *v)
{
	const struct host_facts *hosts[] = { v->host, v->peer };

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		const struct journal_fact *j = journal_on(v, hosts[i]);

		if (j && j->error)
			check_found(v, hosts[i], "sriov-migrate recover there tells what to do.",
				"%s", j->error);
	}
}

/* The journal of a run that goes on is that run's business. */
void check_journal_open(const struct check_view *v)
{
	const struct host_facts *hosts[] = { v->host, v->peer };

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		const struct journal_fact *j = journal_on(v, hosts[i]);

		if (j && !j->error && !owner_on(v, v->host) && !owner_on(v, hosts[i]))
			check_found(v, hosts[i],
				"sriov-migrate recover settles it now; migrate and reattach do so "
				"first.",
				"an interrupted run left a journal of domain %s there",
				v->host->domain.name);
	}
}

static bool is_localhost(const char *name)
{
	return str_starts(name, "localhost");
}

static const char *host_in_uri(const char *uri)
{
	const char *host = strstr(uri, "://"), *user;

	host = host ? host + 3 : "";
	user = strpbrk(host, "@/");
	return user && *user == '@' ? user + 1 : host;
}

void check_reach(const struct check_view *v)
{
	CLEANUP_FREE char *hint = NULL;
	const char *how;

	/* virDomainMigrateCheckNotLocal in libvirt's src/libvirt-domain.c */
	if (v->peer && !v->options->client_driven && is_localhost(host_in_uri(v->dest_uri)))
		check_found(v, v->host,
			"Give it by another name or address, or migrate with --client-driven.",
			"libvirt takes %s for the source itself, and does not migrate there",
			v->dest_uri);
	if (!v->peer || !v->host->unreachable)
		return;
	how = !strstr(v->dest_uri, "+ssh:")
		      ? "see to it that libvirt listens there and takes its certificate or password"
		      : "let root there log in by ssh without being asked";
	hint = str_printf(
		v->options->client_driven
			? "%s opens a connection of its own to %s: %s, or give another URI."
			: "libvirt on %s opens a connection of its own to %s: %s, or give another URI.",
		v->host->hostname, v->peer->hostname, how);
	check_found(v, v->host, hint, "%s", v->host->unreachable);
}

/* The guest would go to the one host, and its VF be waiting on the other. */
void check_reached(const struct check_view *v)
{
	if (v->peer && v->host->reached && !str_equal(v->host->reached, v->peer->uuid))
		check_found(v, v->host,
			"Is an --agent-host given, or does root there know the name by another "
			"address?",
			"%s leads to another host than %s, where the agent is (libvirt's host "
			"UUIDs are %s and %s)",
			v->dest_uri, v->peer->hostname, v->host->reached, v->peer->uuid);
}

/*
 * Without a migration URI the destination's libvirt tells the source's migration_host of its qemu.conf, or the
 * host's own name. One beginning with localhost it does not (qemuMigrationDstPrepareDirect).
 */
void check_address(const struct check_view *v)
{
	static const char hint[] = "Name the address with --migrate-uri tcp://ADDRESS, or with "
				   "migration_host in libvirt's qemu.conf there.";

	if (!v->peer || v->options->migrate_uri || v->peer->names_address)
		return;
	if (is_localhost(v->peer->hostname))
		check_found(v, v->peer, hint, "the host calls itself %s", v->peer->hostname);
	else if (v->host->peer_unresolved)
		check_found(v, v->host, hint,
			"no address is known for %s, by which libvirt will have QEMU look for the "
			"destination",
			v->peer->hostname);
}

void check_job(const struct check_view *v)
{
	if (v->host->domain.job)
		check_found(v, v->host, "Wait for it, or abort it with virsh domjobabort.",
			"another job of libvirt's is running for domain %s", v->host->domain.name);
}

/* What stands still here may be the old copy of a guest that runs on the other host. */
static bool may_be_stale(const struct check_view *v, enum virt_state state)
{
	const struct host_facts *there = v->peer;

	return state == VIRT_MIGRATING || journal_on(v, v->host) || journal_on(v, there) ||
	       (there && there->has_domain &&
		       virt_state_is_active(virt_state_from_name(there->domain.state)));
}

static const char *how_to_wake(enum virt_state state)
{
	return state == VIRT_CRASHED
		       ? "A guest that has crashed cannot give up its VF: virsh reset starts it anew."
		       : "Resume it first (virsh resume, or dompmwakeup where it sleeps): a guest that "
			 "stands still cannot give up its VF.";
}

void check_state(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;
	enum virt_state state = virt_state_from_name(d->state);

	if (state == VIRT_OFF || state == VIRT_MIGRATED || state == VIRT_ENDED)
		check_found(v, v->host, "", "domain %s is not running (%s)", d->name, d->state);
	else if (state != VIRT_RUNNING)
		check_found(v, v->host,
			may_be_stale(v, state)
				? "It may run on the other host, so do not resume it unseen: sriov-migrate "
				  "recover settles what an interrupted run left."
				: how_to_wake(state),
			"domain %s is %s", d->name, d->state);
}

void check_agent(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;

	if (d->live && !d->agent)
		check_found(v, v->host, "With qemu-guest-agent in the guest, it is asked.",
			"it cannot be verified that the guest runs net_failover: no guest agent is "
			"connected");
	for (size_t i = 0; i < d->n_guest_nics; i++)
		if (d->guest_nics[i].count < 0)
			check_found(v, v->host,
				"Does it live, and is guest-network-get-interfaces allowed there?",
				"it cannot be verified that the guest runs net_failover: its guest "
				"agent does not answer");
}

/* The failover device itself, its standby, and its primary, where there is one. */
void check_guest(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;
	CLEANUP_PAIRS struct xml_pair_list pairs = { 0 };
	struct err ignored;

	if (!d->live || xml_pairs_find(d->live, &pairs, &ignored) < 0)
		return;
	for (size_t i = 0; i < d->n_guest_nics; i++) {
		const struct guest_nic *n = &d->guest_nics[i];
		int wanted = 2;

		for (size_t k = 0; k < pairs.n; k++)
			if (str_equal(pairs.v[k].mac, n->mac) &&
				pairs.v[k].primary.form != PRIMARY_NONE)
				wanted = 3;
		if (n->count >= 0 && n->count < wanted)
			check_found(v, v->host,
				"Without net_failover (Linux 4.18 or later) the guest has no network "
				"while it is moved.",
				"the guest has %d network devices with %s, where net_failover "
				"makes %d",
				(int)n->count, n->mac, wanted);
	}
}

/* ---- what the domain needs there ---- */

void check_machine(const struct check_view *v)
{
	if (v->peer && v->peer->fit == VIRT_FIT_NO_MACHINE)
		check_found(v, v->peer, "It takes a newer QEMU there, or an older machine type.",
			"%s", v->peer->misfit);
}

/*
 * What QEMU has switched on by itself (topoext, on AMD) is missing everywhere by libvirt's measure: also
 * here, where the guest runs with it.
 */
void check_cpu(const struct check_view *v)
{
	if (v->peer && v->peer->fit == VIRT_FIT_NO_CPU &&
		!(v->host->fit == VIRT_FIT_NO_CPU && str_equal(v->host->misfit, v->peer->misfit)))
		check_found(v, v->peer,
			"See virsh hypervisor-cpu-baseline for a CPU that both have.", "%s",
			v->peer->misfit);
}

/* What of the destination's memory the guest can have, in MiB. */
struct memory {
	long long needed, total, free;
	bool huge; /* in huge pages, which nobody gives up for it */
};

static void huge_memory(const struct host_facts *there, int64_t page_kib, struct memory *ret)
{
	ret->huge = true;
	for (size_t i = 0; i < there->n_huge; i++) {
		const struct huge_fact *h = &there->huge[i];

		if (page_kib ? h->page_kib == page_kib : h->is_default)
			ret->total = ret->free = h->free_kib / 1024;
	}
}

/* false: not known. */
static bool memory_there(const struct check_view *v, struct memory *ret)
{
	CLEANUP_NEEDS struct xml_needs needs = { 0 };
	const struct host_facts *there = v->peer;
	struct err ignored;

	if (!there || !v->host->domain.live ||
		xml_needs_read(v->host->domain.live, &needs, &ignored) < 0)
		return false;
	*ret = (struct memory){ .needed = needs.memory_kib / 1024 };
	if (needs.hugepages) {
		huge_memory(there, needs.page_kib, ret);
		return there->n_huge && needs.page_kib >= 0;
	}
	ret->total = there->memory_total / 1024;
	ret->free = there->memory_available / 1024;
	return there->memory_total > 0;
}

void check_memory_total(const struct check_view *v)
{
	struct memory m;

	if (!memory_there(v, &m) || m.needed <= m.total)
		return;
	if (m.huge)
		check_found(v, v->peer, "See /sys/kernel/mm/hugepages there.",
			"the guest has %lld MiB of memory in huge pages, and %lld MiB of such are free",
			m.needed, m.free);
	else
		check_found(v, v->peer, "",
			"the guest has %lld MiB of memory, the whole host %lld MiB", m.needed,
			m.total);
}

/* A VF holds all of the guest's memory in place: it cannot be swapped out. */
void check_memory_free(const struct check_view *v)
{
	struct memory m;

	if (memory_there(v, &m) && m.needed > m.free && m.needed <= m.total)
		check_found(v, v->peer, "With a VF none of it can be swapped out.",
			"the guest has %lld MiB of memory, and %lld MiB are free there", m.needed,
			m.free);
}

static bool disks_are_copied(const struct options *o)
{
	return o->copy_storage_all || o->copy_storage_inc;
}

#define HINT_SHARE "Put it on storage that both hosts share, or have it copied: --copy-storage-all."

static void check_nvme(const struct check_view *v)
{
	CLEANUP_STRINGS struct xml_strings disks = { 0 };
	struct err ignored;

	if (!v->host->domain.live || xml_nvme_disks(v->host->domain.live, &disks, &ignored) < 0)
		return;
	for (size_t i = 0; i < disks.n; i++)
		check_found(v, v->host, HINT_SHARE, "disk %s is an NVMe device of this host alone",
			disks.v[i]);
}

/* qemuMigrationSrcIsSafe in libvirt's src/qemu/qemu_migration.c, which is asked when the VF is gone. */
void check_shared(const struct check_view *v)
{
	if (!v->peer || disks_are_copied(v->options) || v->options->unsafe)
		return;
	for (size_t i = 0; i < v->host->domain.n_files; i++) {
		const struct file_fact *f = &v->host->domain.files[i];

		if (f->is_written && f->own_fs)
			check_found(v, v->host, HINT_SHARE,
				"%s, %s, is on a file system of this host alone (%s)", f->what,
				f->path, f->own_fs);
	}
	check_nvme(v);
}

/* A disk that is copied may be made there by libvirt; where all of it is, so is what it is backed by here. */
static bool is_brought(const struct file_fact *f, const struct options *o)
{
	return (f->is_written && disks_are_copied(o)) || (f->is_backing && o->copy_storage_all);
}

void check_files(const struct check_view *v)
{
	for (size_t i = 0; v->peer && i < v->host->domain.n_files; i++) {
		const struct file_fact *f = &v->host->domain.files[i];

		if (f->is_missing_there && !is_brought(f, v->options))
			check_found(v, v->peer, "The domain needs it there under the same name.",
				"%s of domain %s, %s, is not there", f->what, v->host->domain.name,
				f->path);
	}
}

static bool has_ground(const struct host_facts *f, const struct xml_ground *g)
{
	if (str_equal(g->kind, "network"))
		return f->no_networks || facts_network(f, g->name);
	if (str_equal(g->kind, "bridge"))
		return facts_bridge(f, g->name);
	return !f->n_links || facts_has_link(f, g->name);
}

/* libvirt looks for them when the domain comes, and the VF is gone by then. */
void check_other_nics(const struct check_view *v)
{
	CLEANUP_GROUNDS struct xml_ground_list grounds = { 0 };
	struct err ignored;

	if (!v->peer || !v->host->domain.migratable ||
		xml_grounds_find(v->host->domain.migratable, &grounds, &ignored) < 0)
		return;
	for (size_t i = 0; i < grounds.n; i++) {
		const struct xml_ground *g = &grounds.v[i];

		if (!has_ground(v->peer, g))
			check_found(v, v->peer, "libvirt would refuse the domain.",
				"%s \"%s\", on which another NIC of domain %s stands, is not %s there",
				g->kind, g->name, v->host->domain.name,
				str_equal(g->kind, "network") ? "active" : "to be found");
	}
}

/* libvirt finds that out only when it is told to migrate, and the VF is gone by then. */
void check_other_devices(const struct check_view *v)
{
	for (size_t i = 0; v->peer && i < v->host->domain.n_others; i++) {
		const struct other_device *o = &v->host->domain.others[i];

		/* Drivers made for a device may know how to migrate it; QEMU will tell. */
		if (str_equal(o->driver, "vfio-pci"))
			check_found(v, v->host, "Detach it first, or make it part of a pair.",
				"domain %s has the PCI device %s, which is of no pair and cannot "
				"come along",
				v->host->domain.name, o->address);
	}
}

static bool runs_with(const struct domain_fact *d, const char *address,
	const struct xml_pair_list *live)
{
	for (size_t i = 0; i < d->n_others; i++)
		if (str_equal(d->others[i].address, address))
			return true;
	for (size_t i = 0; i < live->n; i++)
		if (str_equal(live->v[i].primary.address, address))
			return true;
	return false;
}

#define HINT_NEXT_START \
	"At its next start there libvirt gives the guest what has this address on the destination: "

/* A pair that it runs with gets the VF of the destination in its definition, by the standby's alias. */
static void check_defined_pairs(const struct check_view *v, const struct xml_pair_list *live)
{
	const struct domain_fact *d = &v->host->domain;
	CLEANUP_PAIRS struct xml_pair_list defined = { 0 };
	struct err ignored;

	if (xml_pairs_find(d->inactive, &defined, &ignored) < 0)
		return;
	for (size_t i = 0; i < defined.n; i++) {
		const struct xml_pair *pair = &defined.v[i];

		if (pair->primary.address && !xml_pairs_by_alias(live, pair->standby_alias))
			check_found(v, v->host,
				HINT_NEXT_START "give the pair there the alias that its standby "
						"runs with, or see virsh detach-device --config.",
				"the definition of %s has the VF %s for the standby %s, without which it "
				"runs",
				d->name, pair->primary.address,
				pair->standby_alias ? pair->standby_alias : "?");
	}
}

/* What is found there at the next start goes to the guest, whatever it is. */
void check_defined_devices(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;
	CLEANUP_PAIRS struct xml_pair_list live = { 0 };
	CLEANUP_STRINGS struct xml_strings defined = { 0 };
	struct err ignored;

	if (!v->peer || !d->live || !d->inactive || xml_pairs_find(d->live, &live, &ignored) < 0 ||
		xml_other_devices(d->inactive, &defined, &ignored) < 0)
		return;
	for (size_t i = 0; i < defined.n; i++)
		if (!runs_with(d, defined.v[i], &live))
			check_found(v, v->host, HINT_NEXT_START "see virsh detach-device --config.",
				"the definition of %s has the PCI device %s, without which it runs",
				d->name, defined.v[i]);
	check_defined_pairs(v, &live);
}

/* Of these it finds out as late (src/qemu/qemu_migration.c, qemuMigrationSrcIsAllowed). */
void check_movable(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;
	CLEANUP_STRINGS struct xml_strings reasons = { 0 };
	struct err ignored;

	if (v->peer && d->block_job)
		check_found(v, v->host, "Wait for it, or abort it with virsh blockjob --abort.",
			"domain %s has a block job on disk %s", d->name, d->block_job);
	if (!v->peer || !d->live ||
		xml_unmovable(d->live, v->host->libvirt, v->host->qemu, &reasons, &ignored) < 0)
		return;
	for (size_t i = 0; i < reasons.n; i++)
		check_found(v, v->host, "The migration would be refused.", "domain %s has %s",
			d->name, reasons.v[i]);
}

/* And of snapshots, in the same place. */
void check_snapshots(const struct check_view *v)
{
	long long n = (long long)v->host->domain.n_snapshots;

	if (v->peer && n > 0)
		check_found(v, v->host, "virsh snapshot-list shows them.",
			"domain %s has %lld snapshot%s, with which libvirt does not migrate it",
			v->host->domain.name, n, n == 1 ? "" : "s");
}

/* ---- the domain on the destination ---- */

/* The I-th domain of the destination if it has this one's name or UUID, else NULL. */
static const struct domain_name *namesake(const struct check_view *v, size_t i, bool *ret_name,
	bool *ret_uuid)
{
	const struct domain_name *there = &v->peer->domains[i];

	*ret_name = str_equal(there->name, v->host->domain.name);
	*ret_uuid = str_equal(there->uuid, v->host->domain.uuid);
	return *ret_name || *ret_uuid ? there : NULL;
}

void check_name(const struct check_view *v)
{
	for (size_t i = 0; v->peer && i < v->peer->n_domains; i++) {
		bool name, uuid;
		const struct domain_name *there = namesake(v, i, &name, &uuid);

		if (there && !uuid)
			check_found(v, v->peer, "Rename or remove it.",
				"there is another domain named %s (UUID %s)", there->name,
				there->uuid);
	}
}

void check_uuid(const struct check_view *v)
{
	for (size_t i = 0; v->peer && i < v->peer->n_domains; i++) {
		bool name, uuid;
		const struct domain_name *there = namesake(v, i, &name, &uuid);

		if (there && !name)
			check_found(v, v->peer, "Rename or remove it.",
				"there is a domain with this one's UUID, but named %s",
				there->name);
	}
}

/* The domain itself on the destination; a run that is under way may be what brought it there. */
static const struct domain_name *itself_there(const struct check_view *v)
{
	for (size_t i = 0; v->peer && i < v->peer->n_domains; i++) {
		bool name, uuid;
		const struct domain_name *there = namesake(v, i, &name, &uuid);

		if (there && name && uuid && !problem_list_has(v->problems, "busy"))
			return there;
	}
	return NULL;
}

static bool is_incoming(const struct check_view *v, const struct domain_name *there)
{
	enum virt_state state = virt_state_from_name(there->state);

	return state == VIRT_MIGRATING || (v->host->domain.job && virt_state_is_active(state));
}

void check_incoming(const struct check_view *v)
{
	const struct domain_name *there = itself_there(v);

	if (there && is_incoming(v, there))
		check_found(v, v->peer,
			"Wait for that migration, or abort it with virsh domjobabort.",
			"domain %s is being migrated there already", there->name);
}

void check_runs_twice(const struct check_view *v)
{
	const struct domain_name *there = itself_there(v);

	if (there && !is_incoming(v, there) &&
		virt_state_is_active(virt_state_from_name(there->state)))
		check_found(v, v->peer, "Find out which copy is the true one, now.",
			"domain %s is %s there, and %s on %s as well", there->name, there->state,
			v->host->domain.state, v->host->hostname);
}

/* Then its taps are its own. */
static bool is_active_there(const struct check_view *v)
{
	for (size_t i = 0; i < v->peer->n_domains; i++) {
		bool name, uuid;
		const struct domain_name *there = namesake(v, i, &name, &uuid);

		if (there && uuid && virt_state_is_active(virt_state_from_name(there->state)))
			return true;
	}
	return false;
}

/*
 * The kernel gives a tap of that name to whoever asks, if nobody has it open (tun_set_iff in
 * drivers/net/tun.c). Of any other device libvirt would find out when the VF is gone.
 */
static bool is_name_taken(const struct host_facts *f, const char *name)
{
	return f->idle_taps && facts_has_link(f, name) && !str_list_has(f->idle_taps, name);
}

void check_taps(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;
	CLEANUP_STRINGS struct xml_strings taps = { 0 };
	struct err ignored;

	if (!v->peer || !d->migratable || is_active_there(v) ||
		xml_fixed_taps(d->migratable, &taps, &ignored) < 0)
		return;
	for (size_t i = 0; i < taps.n; i++)
		if (is_name_taken(v->peer, taps.v[i]))
			check_found(v, v->peer,
				"libvirt would refuse the domain: rename or remove that device, or let "
				"libvirt choose a name, without <target dev>.",
				"there is a device %s already, as a NIC of domain %s is to have",
				taps.v[i], d->name);
}

/* It outlives the move, and the start after the next shutdown there takes it for where the guest was. */
void check_saved(const struct check_view *v)
{
	const struct domain_fact *there = v->peer && v->peer->has_domain ? &v->peer->domain : NULL;
	CLEANUP_FREE char *hint = NULL;

	if (!there || !there->saved || !str_equal(there->uuid, v->host->domain.uuid))
		return;
	hint = str_printf("virsh managedsave-remove %s, on %s.", there->name, v->peer->hostname);
	check_found(v, v->peer, hint,
		"libvirt has a managed save image of domain %s there: its next start would put old "
		"memory over newer disks",
		there->name);
}
