/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks of the hosts, and of the domain as a whole. */
#include "core/check_priv.h"
#include "util/mem.h"
#include "util/str.h"
#include "virt/virt.h"

void check_same_host(const struct check_view *v)
{
	if (str_equal(v->host->uuid, v->peer->uuid))
		check_found(v, NULL, "", "the destination, %s, is this host", v->peer->hostname);
}

void check_permission(const struct check_view *v)
{
	if (!v->host->net_admin)
		check_found(v, v->host,
			"Run as root: it takes access to libvirt, CAP_NET_ADMIN and /run/sriov-migrate.",
			"no permission to change network devices");
}

/* ---- the domain where it is ---- */

void check_busy(const struct check_view *v)
{
	if (v->host->has_domain && v->host->domain.lock_owner)
		check_found(v, v->host, "Wait for the other run to end, or stop it with kill and its PID.",
			"domain %s is held by another run (%s)", v->host->domain.name,
			v->host->domain.lock_owner);
}

/* The journal of V's domain on HOST (NULL: no such host), or NULL. */
static const struct journal_fact *journal_on(const struct check_view *v, const struct host_facts *host)
{
	for (size_t i = 0; host && i < host->n_journals; i++)
		if (str_equal(host->journals[i].uuid, v->host->domain.uuid))
			return &host->journals[i];
	return NULL;
}

void check_journal_readable(const struct check_view *v)
{
	const struct host_facts *hosts[] = { v->host, v->peer };

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		const struct journal_fact *j = journal_on(v, hosts[i]);

		if (j && j->error)
			check_found(v, hosts[i], "sriov-migrate recover there tells what to do.", "%s",
				j->error);
	}
}

/* The journal of a run that goes on is that run's business. */
void check_journal_open(const struct check_view *v)
{
	const struct host_facts *hosts[] = { v->host, v->peer };

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		const struct journal_fact *j = journal_on(v, hosts[i]);

		if (j && !j->error && !v->host->domain.lock_owner)
			check_found(v, hosts[i],
				"sriov-migrate recover settles it now; migrate and reattach do so first.",
				"an interrupted run left a journal of domain %s there",
				v->host->domain.name);
	}
}

void check_reach(const struct check_view *v)
{
	CLEANUP_FREE char *hint = NULL;

	if (!v->peer || !v->host->unreachable)
		return;
	hint = str_printf("libvirt on %s opens a connection of its own to %s: let root there log in by "
			  "ssh without being asked, or give another URI.",
		v->host->hostname, v->peer->hostname);
	check_found(v, v->host, hint, "%s", v->host->unreachable);
}

void check_job(const struct check_view *v)
{
	if (v->host->domain.job)
		check_found(v, v->host, "Wait for it, or abort it with virsh domjobabort.",
			"another job of libvirt's is running for domain %s", v->host->domain.name);
}

void check_state(const struct check_view *v)
{
	const struct domain_fact *d = &v->host->domain;
	enum virt_state state = virt_state_from_name(d->state);

	if (state == VIRT_OFF || state == VIRT_MIGRATED)
		check_found(v, v->host, "", "domain %s is not running (%s)", d->name, d->state);
	else if (state != VIRT_RUNNING)
		check_found(v, v->host,
			"Resume it first: a guest that stands still cannot give up its VF.",
			"domain %s is %s", d->name, d->state);
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
				"there is another domain named %s (UUID %s)", there->name, there->uuid);
	}
}

void check_uuid(const struct check_view *v)
{
	for (size_t i = 0; v->peer && i < v->peer->n_domains; i++) {
		bool name, uuid;
		const struct domain_name *there = namesake(v, i, &name, &uuid);

		if (there && !name)
			check_found(v, v->peer, "Rename or remove it.",
				"there is a domain with this one's UUID, but named %s", there->name);
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
		check_found(v, v->peer, "Wait for that migration, or abort it with virsh domjobabort.",
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
