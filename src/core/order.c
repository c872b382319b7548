/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/order.h"

#include "util/mem.h"

static const struct field vf_attr_fields[] = {
	RECORD_INT(vf_attr, trust),
	RECORD_INT(vf_attr, spoofchk),
	RECORD_INT(vf_attr, query_rss),
	RECORD_INT(vf_attr, link_state),
	RECORD_INT(vf_attr, min_rate),
	RECORD_INT(vf_attr, max_rate),
	RECORD_INT(vf_attr, vlan),
	RECORD_INT(vf_attr, qos),
	RECORD_INT(vf_attr, protocol),
};
RECORD_DEFINE(vf_attr_record, vf_attr);

static const struct field pair_order_fields[] = {
	RECORD_STR(pair_order, mac),
	RECORD_STR(pair_order, standby_alias),
	RECORD_STR(pair_order, tap),
	RECORD_STR(pair_order, bridge),
	RECORD_STR(pair_order, uplink),
	RECORD_BOOL(pair_order, macvtap_was_up),
	RECORD_STR(pair_order, pf),
	RECORD_STR(pair_order, uplink_pf),
	RECORD_INT(pair_order, uplink_vf),
	RECORD_STR(pair_order, rule),
	RECORD_INT(pair_order, filter_limit),
	RECORD_STR(pair_order, form),
	RECORD_BOOL(pair_order, had_primary),
	RECORD_BOOL(pair_order, cut_off),
	RECORD_STR(pair_order, primary_alias),
	RECORD_STR(pair_order, vf),
	RECORD_INT(pair_order, vf_index),
	RECORD_STR(pair_order, primary_xml),
	RECORD_BOOL(pair_order, has_attr),
	RECORD_ONE(pair_order, attr, &vf_attr_record),
	RECORD_STR(pair_order, pf_driver),
	RECORD_BOOL(pair_order, qemu_unplugs),
	RECORD_STR(pair_order, arrival_vf),
	RECORD_BOOL(pair_order, managed),
	RECORD_BOOL(pair_order, link_was_up),
	RECORD_BOOL(pair_order, adopt),
};
static RECORD_DEFINE(pair_order_record, pair_order);

static const struct field migration_order_fields[] = {
	RECORD_STR(migration_order, dest_uri),
	RECORD_STR(migration_order, migrate_uri),
	RECORD_STR(migration_order, persist_xml),
	RECORD_BOOL(migration_order, client_driven),
	RECORD_BOOL(migration_order, undefine_source),
	RECORD_BOOL(migration_order, auto_converge),
	RECORD_BOOL(migration_order, unsafe),
	RECORD_BOOL(migration_order, tls),
	RECORD_BOOL(migration_order, compressed),
	RECORD_BOOL(migration_order, copy_storage_all),
	RECORD_BOOL(migration_order, copy_storage_inc),
	RECORD_INT(migration_order, parallel),
	RECORD_INT(migration_order, bandwidth),
	RECORD_INT(migration_order, timeout_ms),
};
static RECORD_DEFINE(migration_order_record, migration_order);

static const struct field word_fields[] = {
	RECORD_STR(word, text),
};
static RECORD_DEFINE(word_record, word);

static const struct field order_fields[] = {
	RECORD_BOOL(order, is_source),
	RECORD_LIST(order, peer, &word_record),
	RECORD_STR(order, name),
	RECORD_STR(order, uuid),
	RECORD_STR(order, peer_uuid),
	RECORD_STR(order, peer_id),
	RECORD_STR(order, owner),
	RECORD_BOOL(order, persistent),
	RECORD_BOOL(order, autostart),
	RECORD_BOOL(order, strict),
	RECORD_INT(order, detach_ms),
	RECORD_INT(order, proof_ms),
	RECORD_INT(order, carrier_ms),
	RECORD_INT(order, settle_ms),
	RECORD_INT(order, watch_ms),
	RECORD_ONE(order, migration, &migration_order_record),
	RECORD_LIST(order, pairs, &pair_order_record),
};
RECORD_DEFINE(order_record, order);
