/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains of the pretended hosts: what libvirt keeps of them, the views it gives of their
 * definitions, and their devices. Failures are in `failure`, in libvirt's words.
 */
#ifndef FAKE_DOMAIN_H
#define FAKE_DOMAIN_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#define CLEANUP_DOC __attribute__((cleanup(doc_free)))

struct dom {
	char host[32];
	char uuid[37];
	char name[128];
};

/* ---- XML ---- */

void doc_free(xmlDoc **doc);
xmlDoc *doc_parse(const char *xml); /* NULL: not XML */
char *doc_text(xmlDoc *doc);        /* caller frees */
char *node_text(xmlNode *node);     /* caller frees */
xmlNode *node_child(xmlNode *parent, const char *name);
xmlNode *node_next(xmlNode *node, const char *name);
char *node_get(xmlNode *node, const char *attr); /* NULL: none; caller frees */
bool node_is(xmlNode *node, const char *attr, const char *value);
void node_set(xmlNode *node, const char *attr, const char *value);
xmlNode *node_add(xmlNode *parent, const char *name);
void node_drop(xmlNode *node); /* takes NULL */
xmlNode *doc_devices(xmlDoc *doc);
/* The PCI address an <address> element names, canonical; caller frees. */
char *node_pci(xmlNode *address);
xmlNode *device_source_address(xmlNode *device);
/* The tag of its <vlan>; 0: it has none. */
int device_vlan(xmlNode *device);
/* The first or next device that is an <interface> or a <hostdev>. */
xmlNode *device_next(xmlNode *devices, xmlNode *after);
xmlNode *device_by_alias(xmlDoc *doc, const char *alias);

/* ---- domains ---- */

bool dom_find(const char *host, const char *key, bool by_name, struct dom *ret);
/* All domains of a host; caller frees *ret. */
size_t dom_list(const char *host, struct dom **ret);

char *dom_path(const struct dom *d, const char *file);
char *dom_read(const struct dom *d, const char *file);
void dom_write(const struct dom *d, const char *file, const char *content);
void dom_remove(const struct dom *d, const char *file);

bool dom_is_active(const struct dom *d);
bool dom_is_persistent(const struct dom *d);
void dom_state(const struct dom *d, int *ret_state, int *ret_reason);
void dom_set_state(const struct dom *d, int state, int reason);
bool dom_autostart(const struct dom *d);

enum { JOB_NONE, JOB_OUT, JOB_IN, JOB_BACKUP /* devices may come and go meanwhile */ };
int dom_job(const struct dom *d);
void dom_set_job(const struct dom *d, int job);

xmlDoc *dom_live(const struct dom *d); /* NULL: not active */
void dom_set_live(const struct dom *d, xmlDoc *doc);

/* What virDomainGetXMLDesc gives; NULL with `failure`; caller frees. */
char *dom_xml(const struct dom *d, unsigned int flags);

int dom_define(const char *host, const char *xml, struct dom *ret);
int dom_undefine(const struct dom *d);
/* Starts a defined domain with its taps and VFs; for setting up a test. */
int dom_start(const struct dom *d);
/* Ends the guest here: taps, VFs, live definition; a transient domain is gone after that. */
void dom_stop(const struct dom *d, int reason, int event_detail);

/*
 * An incoming domain: live definition made from MIGRATABLE, taps in place, paused. Fails as
 * libvirt's Prepare does, leaving nothing behind.
 */
int dom_prepare(const char *host, const char *migratable, struct dom *ret);
/* RARPs from each standby whose link is up. */
void dom_announce(const struct dom *d);

/* ---- devices ---- */

int dom_attach(const struct dom *d, const char *xml);
int dom_detach(const struct dom *d, const char *alias);
int dom_update(const struct dom *d, const char *xml);

/* Background halves, run by fake-host. */
void dom_finish_detach(const struct dom *d, const char *alias);
void dom_obey_late(const struct dom *d, const char *alias);
void dom_guest_drives(const struct dom *d, const char *alias);

/*
 * What QEMU does with the primaries of a domain that migrates, without libvirt: the guest lets them
 * go, or (false) does not, or late, as an unplug like any other; and drives them again, or on the
 * destination for the first time.
 */
int dom_count_primaries(const struct dom *d);
void dom_lets_primaries_go_late(const struct dom *d);
bool dom_lets_primaries_go(const struct dom *d);
void dom_drives_primaries(const struct dom *d);

/* Whether the guest drives the VF of this device now. */
bool device_is_driven(const struct dom *d, xmlNode *device);

#endif
