#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Every form in which a domain can be given its pair. The definitions are in data/forms.

load lib/hosts

forms_dir=$tests_dir/data/forms

setup() {
	start_hosts
}

teardown() {
	teardown_hosts
}

# start_form FILE [SED-EXPRESSION…]: the domain of that file, changed by them, on host-a
start_form() {
	local name expression file=$FAKE_DIR/$1.xml
	cp "$forms_dir/$1.xml" "$file"
	for expression in "${@:2}"; do
		sed -i -E "$expression" "$file"
	done
	name=$(sed -n 's/.*<name>\(.*\)<\/name>.*/\1/p' "$file")
	start_guest "$name" "$file"
	remember
}

# The VF that the pair with MAC has on HOST, as the PF numbers it; driven by the guest.
driven_vf() {
	fake show "$1" "$(pf_of "$1")" |
		sed -nE "s/^vf [^ ]+ ([0-9]+) .* mac $2 .* driver vfio-pci command 0507$/\1/p"
}

# assert_pair_moved DOMAIN MAC: it is on host-b on a VF with the MAC, its standby rests, its
# definition is complete, and host-a has let go.
assert_pair_moved() {
	local domain=$1 mac=$2
	assert_state host-b "$domain" 1 || return
	assert_state host-a "$domain" 5 || return
	[ -n "$(driven_vf host-b "$mac")" ] ||
		{ fake show host-b enp65s0 && echo "no VF is driven with $mac" && return 1; }
	live_xml host-b "$domain" | grep -q "teaming type=.transient" ||
		{ echo "it has no primary in its live definition" && return 1; }
	inactive_xml host-b "$domain" | grep -q "teaming type=.transient" ||
		{ echo "it has no primary in its definition" && return 1; }
	[ "$(link_state_of host-b "$domain" "$mac")" = down ] ||
		{ echo "the standby's link is up" && return 1; }
	assert_no_entries host-a "$mac" || return
	assert_no_entries host-b "$mac" || return
	! fake show host-a pf0 | grep "mac $mac" || { echo "a VF of host-a has $mac" && return 1; }
	! vf_netdevs host-a | grep "$mac" || { echo "a VF's device on host-a has $mac" && return 1; }
	assert_hears host-b "$domain" "$mac" && assert_no_files
}

# Back again, and both hosts are as they were, but for VFs whose MAC was the guest's before.
assert_back() {
	local domain=$1 mac=$2
	assert_state host-a "$domain" 1 || return
	assert_hears host-a "$domain" "$mac" || return
	assert_no_entries host-a "$mac" || return
	assert_no_entries host-b "$mac" || return
	! fake show host-b enp65s0 | grep "mac $mac" || { echo "a VF of host-b has $mac" && return 1; }
	! vf_netdevs host-b | grep "$mac" || { echo "a VF's device on host-b has $mac" && return 1; }
	assert_no_files
}

# ---- plain <hostdev> ----

PLAIN_MAC=52:54:00:00:13:01

start_plain() {
	fake vf host-a pf0 1 $PLAIN_MAC
	start_form plain "$@"
}

@test "a plain <hostdev>: the VF of the destination has the MAC before the guest gets it" {
	start_plain
	run_sm plain host-b
	assert_exit 0
	assert_pair_moved plain $PLAIN_MAC
	local set attach
	set=$(grep -nE "host-b nl.vf-mac enp65s0 vf [0-9] $PLAIN_MAC" "$FAKE_DIR/log" | cut -d: -f1)
	attach=$(grep -nE 'host-b virDomainAttachDevice' "$FAKE_DIR/log" | cut -d: -f1)
	[ "$set" -lt "$attach" ]
	live_xml host-b plain | grep -q '<alias name="ua-primary"/>'
	[ "$(live_xml host-b plain | vf_in)" = "$(inactive_xml host-b plain | vf_in)" ]
}

@test "a plain <hostdev>: somebody else has taken the VF there meanwhile, and keeps his MAC" {
	start_plain
	sed "s/vm-02/other/; s/0202/9902/; s/12:63/12:99/g; s/bus='0x01' slot='0x10' function='0x4'/bus='0x41' slot='0x10' function='0x2'/" \
		"$tests_dir/data/vm-02.xml" >"$FAKE_DIR/other.xml"
	hook migrate.iterating "unset FAKE_HOST; $FAKE_PROGRAM define host-b $FAKE_DIR/other.xml &&
		$FAKE_PROGRAM start host-b other"
	run_sm plain host-b
	assert_exit 4
	assert_degraded plain "$PLAIN_MAC"
	fake show host-b enp65s0 | grep -q '^vf .* 0000:41:10.2 mac 52:54:00:00:12:99'
}

@test "a plain <hostdev> moves back, and its VFs lose the MAC" {
	start_plain
	run_sm plain host-b
	assert_exit 0
	[ "$(fake vf host-a pf0 1)" = 00:00:00:00:00:00 ]
	run_sm_on host-b plain host-a
	assert_exit 0
	assert_back plain $PLAIN_MAC
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "a plain <hostdev>: a failed migration gives the VF back with its MAC" {
	start_plain
	set_fake migrate error
	run_sm plain host-b
	assert_exit 1
	assert_unchanged
	assert_hears host-a plain $PLAIN_MAC
}

@test "a plain <hostdev>: an attach that fails leaves no MAC on the VF" {
	start_plain
	set_fake host-b.attach error
	run_sm plain host-b
	assert_exit 4
	assert_degraded plain $PLAIN_MAC
	refute_shown host-b "mac $PLAIN_MAC"
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm_on host-b reattach plain
	assert_exit 0
	assert_pair_moved plain $PLAIN_MAC
}

# The VF has the MAC when the uplink asks for it first, and no NIC like that gives it to two.
@test "a plain <hostdev>: behind an attach that fails the standby is heard, where the first to ask wins" {
	stop_hosts
	rm -rf "$FAKE_DIR"
	NIC_DRIVER=mlx5_core start_hosts
	start_plain
	set_fake host-b.attach error
	run_sm --reattach-retries 1 plain host-b
	assert_exit 4
	assert_hears host-b plain "$PLAIN_MAC"
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm_on host-b reattach plain
	assert_exit 0
	assert_pair_moved plain $PLAIN_MAC
}

@test "a plain <hostdev>: an attach that fails behind its effect leaves the VF its MAC" {
	start_plain
	fault host-b virDomainAttachDeviceFlags 1 late-error
	run_sm plain host-b
	assert_exit 0
	assert_says 'is attached, although that failed'
	assert_pair_moved plain $PLAIN_MAC
}

@test "a plain <hostdev>: the VF has its VLAN before the guest gets it, and loses it if it is not used" {
	start_plain
	fake vf-set host-a pf0 1 vlan 42
	set_fake host-b.drive never
	run_sm --proof-timeout 1 --reattach-retries 0 plain host-b
	assert_exit 4
	refute_shown host-b "vlan 42"
	rm "$FAKE_DIR/set/host-b.drive"
	run_sm_on host-b reattach plain
	assert_exit 0
	fake show host-b enp65s0 | grep "vlan 42"
	assert_order 'host-b nl.vf-[a-z]* enp65s0 vf [0-9] .*42' 'host-b virDomainAttachDeviceFlags'
}

@test "a plain <hostdev>: a PF that agrees and keeps the old MAC is found out" {
	start_plain
	set_fake host-b.vf.deaf 1
	run_sm plain host-b
	assert_exit 4
	assert_says 'does not have 52:54:00:00:13:01 after it was set'
	refute_called host-b virDomainAttachDevice
}

@test "a plain <hostdev> whose VF has another MAC is no pair" {
	start_form plain
	assert_refused vf-mac-differs 'the MACs of the pair differ' plain host-b
}

@test "a plain <hostdev> is not left to QEMU: nobody would set the MAC" {
	start_plain
	assert_refused qemu-cannot-unplug 'plain <hostdev>' --unplug=qemu plain host-b
}

@test "a plain <hostdev> whose VF is gone already moves, and gets one" {
	start_plain
	fake detach host-a plain ua-primary
	run_sm plain host-b
	assert_exit 0
	# Nobody has taken the MAC off the VF, which would go on getting the guest's frames.
	assert_pair_moved plain $PLAIN_MAC
}

# ---- managed='no' ----

@test "managed='no': VFs bound to vfio-pci beforehand are used, and stay bound" {
	fake bind host-a pf0 1 vfio-pci
	fake bind host-b enp65s0 3 vfio-pci
	start_form plain "s/hostdev mode='subsystem' type='pci' managed='yes'/interface type='hostdev' managed='no'/" \
		"s/<\/hostdev>/<mac address='$PLAIN_MAC'\/><\/interface>/" \
		"s/<address domain/<address type='pci' domain/"
	run_sm plain host-b
	assert_exit 0
	assert_pair_moved plain $PLAIN_MAC
	[ "$(driven_vf host-b $PLAIN_MAC)" = 3 ]
	fake show host-a pf0 | grep -q '^vf pf0 1 .* driver vfio-pci'
	run_sm_on host-b plain host-a
	assert_exit 0
	assert_back plain $PLAIN_MAC
	assert_same host-a "$FAKE_DIR/before.a"
	fake show host-b enp65s0 | grep -q '^vf enp65s0 3 .* driver vfio-pci'
}

@test "managed='no' as a plain <hostdev>, too" {
	fake bind host-a pf0 1 vfio-pci
	fake bind host-b enp65s0 4 vfio-pci
	start_plain "s/managed='yes'/managed='no'/"
	run_sm plain host-b
	assert_exit 0
	assert_pair_moved plain $PLAIN_MAC
	[ "$(driven_vf host-b $PLAIN_MAC)" = 4 ]
}

@test "managed='no' without a VF that is bound to vfio-pci is refused with the reason" {
	fake bind host-a pf0 1 vfio-pci
	start_plain "s/managed='yes'/managed='no'/"
	assert_refused no-free-vf "not bound to vfio-pci \(managed='no'\)" plain host-b
}

@test "managed='no': a rollback leaves the VF as it was" {
	fake bind host-a pf0 1 vfio-pci
	fake bind host-b enp65s0 3 vfio-pci
	start_plain "s/managed='yes'/managed='no'/"
	set_fake migrate error
	run_sm plain host-b
	assert_exit 1
	assert_unchanged
}

# ---- a network of VFs ----

POOL_MAC=52:54:00:00:13:02

# make_pool HOST VF-ADDRESS…: the network "vfs" there hands these out, in this order. POOL_MORE: what else it has
make_pool() {
	local host=$1 address networks=$FAKE_DIR/$1/networks
	{
		echo "<network connections='1'><name>vfs</name>"
		echo "<forward mode='hostdev' managed='${POOL_MANAGED-yes}'><driver name='vfio'/>"
		for address in "${@:2}"; do
			sed -E "s/(.*):(.*):(.*)\.(.*)/<address type='pci' domain='0x\1' bus='0x\2' slot='0x\3' function='0x\4'\/>/" \
				<<<"$address"
		done
		echo "</forward>${POOL_MORE-}</network>"
	} >"$networks/vfs"
	grep -qx vfs "$networks/index" || echo vfs >>"$networks/index"
}

start_pool() {
	make_pool host-a 0000:01:10.4 0000:01:10.6
	make_pool host-b 0000:41:10.2 0000:41:11.0
	start_form pool "$@"
}

@test "a network of VFs: libvirt chooses on each side, and its choice is reported" {
	start_pool
	[ "$(driven_vf host-a $POOL_MAC)" = 2 ]
	run_sm --json pool host-b
	assert_exit 0
	assert_pair_moved pool $POOL_MAC
	[ "$(driven_vf host-b $POOL_MAC)" = 1 ]
	assert_says '"vf":"0000:41:10.2"'
	inactive_xml host-b pool >"$FAKE_DIR/there"
	inactive_xml host-a pool | diff - "$FAKE_DIR/there"
	grep -q '<source network="vfs"/>' "$FAKE_DIR/there"
}

@test "a network of VFs: there and back, and all is as it was" {
	start_pool
	run_sm pool host-b
	assert_exit 0
	run_sm_on host-b pool host-a
	assert_exit 0
	assert_back pool $POOL_MAC
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "a network of VFs: the VF that libvirt chooses counts, not the one foreseen" {
	start_pool
	# Between plan and attach somebody else's guest gives back the first VF of the network.
	make_pool host-b 0000:41:11.0 0000:41:10.2
	hook migrate.confirmed "cat >'$FAKE_DIR/host-b/networks/vfs' <<'END'
<network><name>vfs</name><forward mode='hostdev' managed='yes'><address type='pci' domain='0x0000' bus='0x41' slot='0x10' function='0x2'/></forward></network>
END"
	run_sm --json pool host-b
	assert_exit 0
	assert_pair_moved pool $POOL_MAC
	assert_says '"vf":"0000:41:10.2"'
	[[ $(result_of message) == *0000:41:10.2* ]]
	[ "$(driven_vf host-b $POOL_MAC)" = 1 ]
}

@test "a network of VFs: what the guest's VF has set goes to the VF that libvirt chooses" {
	start_pool
	fake vf-set host-a pf0 "$(driven_vf host-a $POOL_MAC)" trust 1
	make_pool host-b 0000:41:11.0 0000:41:10.2
	hook migrate.confirmed "cat >'$FAKE_DIR/host-b/networks/vfs' <<'END'
<network><name>vfs</name><forward mode='hostdev' managed='yes'><address type='pci' domain='0x0000' bus='0x41' slot='0x10' function='0x2'/></forward></network>
END"
	run_sm pool host-b
	assert_exit 0
	fake show host-b enp65s0 | grep -q '^vf enp65s0 1 .* trust 1 '
	fake show host-b enp65s0 | grep -q '^vf enp65s0 4 .* trust 0 '
}

in_vlan() {
	echo "<vlan><tag id='$1'/></vlan>"
}

# The uplinks, and with them the standbys, are in VLAN 42; so is the VF here, by its network. MORE: what the
# one there has: start_pool_in_vlan MORE [SED-EXPRESSION…]
start_pool_in_vlan() {
	fake vf-set host-a pf0 0 vlan 42
	fake vf-set host-b enp65s0 2 vlan 42
	POOL_MORE=$(in_vlan 42) make_pool host-a 0000:01:10.4 0000:01:10.6
	POOL_MORE=$1 make_pool host-b 0000:41:10.2 0000:41:11.0
	start_form pool "${@:2}"
	fake show host-a pf0 | grep -q '^vf pf0 2 .* vlan 42 '
}

@test "a network of VFs: one there that leads into another VLAN is refused" {
	start_pool_in_vlan ''
	assert_refused pool-vlan 'network .*vfs.* VLAN 0 there, where its standby is in VLAN 42' pool host-b
	POOL_MORE=$(in_vlan 43) make_pool host-b 0000:41:10.2 0000:41:11.0
	assert_refused pool-vlan 'VLAN 43 there' pool host-b
	run_sm reattach pool
	assert_exit 0
}

@test "a network of VFs: one there with the same VLAN, by its portgroup" {
	start_pool_in_vlan "$(in_vlan 7)<portgroup name='guests' default='yes'>$(in_vlan 42)</portgroup>"
	run_sm pool host-b
	assert_exit 0
	refute_says 'VLAN'
	assert_pair_moved pool $POOL_MAC
	fake show host-b enp65s0 | grep -q '^vf enp65s0 1 .* vlan 42 '
	run_sm_on host-b pool host-a
	assert_exit 0
	assert_back pool $POOL_MAC
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "a network of VFs: the VLAN of the domain's own <interface> counts before the network's" {
	start_pool_in_vlan "$(in_vlan 7)" "s,<source network='vfs'/>,&$(in_vlan 42),"
	run_sm pool host-b
	assert_exit 0
	refute_says 'VLAN'
	fake show host-b enp65s0 | grep -q '^vf enp65s0 1 .* vlan 42 '
}

@test "a network of VFs: another VLAN, in which the standby is there as well: warnings" {
	start_pool_in_vlan "$(in_vlan 43)"
	fake vf-set host-b enp65s0 2 vlan 43
	run_sm --json check pool host-b
	assert_exit 0
	assert_says '"event":"warning".*"code":"vlan-differs".*is in VLAN 42, network .*vfs.* into VLAN 43'
	refute_says 'uplink wan0 in VLAN'
	run_sm pool host-b
	assert_exit 0
	assert_says 'warning.*VF 0000:41:10.2 is in VLAN 43, .* was in VLAN 42'
}

@test "a network of VFs: a VF that is not proved is taken back, its MAC with it" {
	start_pool
	set_fake host-b.drive never
	run_sm --proof-timeout 1 pool host-b
	assert_exit 4
	assert_degraded pool $POOL_MAC
	refute_shown host-b "mac $POOL_MAC"
	rm "$FAKE_DIR/set/host-b.drive"
	run_sm_on host-b reattach pool
	assert_exit 0
	assert_pair_moved pool $POOL_MAC
}

@test "a network of VFs: a failed migration gives a VF of the source's network back" {
	start_pool
	set_fake migrate error
	run_sm pool host-b
	assert_exit 1
	assert_unchanged
	assert_hears host-a pool $POOL_MAC
	# QEMU takes a primary back under the name it knew only.
	live_xml host-a pool | grep -q '<alias name="hostdev0"/>'
}

@test "a network of VFs: given back is another VF, and the first one has what it had no more" {
	make_pool host-a 0000:01:10.6 0000:01:10.4
	make_pool host-b 0000:41:10.2
	start_form pool
	[ "$(driven_vf host-a $POOL_MAC)" = 3 ]
	fake vf-set host-a pf0 3 trust 1
	hook migrate.iterating "cat >'$FAKE_DIR/host-a/networks/vfs' <<'END'
<network><name>vfs</name><forward mode='hostdev' managed='yes'><address type='pci' domain='0x0000' bus='0x01' slot='0x10' function='0x4'/></forward></network>
END"
	set_fake migrate error
	run_sm pool host-b
	assert_exit 1
	[ "$(driven_vf host-a $POOL_MAC)" = 2 ]
	fake show host-a pf0 | grep -q '^vf pf0 2 .* trust 1 '
	fake show host-a pf0 | grep -q '^vf pf0 3 .* trust 0 '
}

@test "a network of VFs: two pairs are given each other's VF back, and what was set for it" {
	make_pool host-a 0000:01:10.6 0000:01:10.4
	make_pool host-b 0000:41:10.2 0000:41:11.0
	start_two_pools
	fake vf-set host-a pf0 3 trust 1 , vf-set host-a pf0 2 trust 1
	set_fake migrate error
	run_sm two-pools host-b
	assert_exit 1
	[ "$(driven_vf host-a $POOL_MAC)" = 2 ]
	[ "$(driven_vf host-a 52:54:00:00:13:06)" = 3 ]
	fake show host-a pf0 | grep -q '^vf pf0 2 .* trust 1 '
	fake show host-a pf0 | grep -q '^vf pf0 3 .* trust 1 '
	rm "$FAKE_DIR/set/migrate"
	run_sm two-pools host-b
	assert_exit 0
	assert_pair_moved two-pools $POOL_MAC
	assert_pair_moved two-pools 52:54:00:00:13:06
	fake show host-b enp65s0 | grep -c ' trust 1 .*command 0507' | grep -qx 2
}

# A second pair like the first one; of aliases of one's own the last one is given back first.
start_two_pools() {
	python3 - "$forms_dir/pool.xml" "$FAKE_DIR/two-pools.xml" <<-'END'
		import copy, sys, xml.etree.ElementTree as tree
		doc = tree.parse(sys.argv[1])
		root = doc.getroot()
		root.find("name").text = "two-pools"
		root.find("uuid").text = "7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0406"
		devices = root.find("devices")
		standby, primary = devices.findall("interface")
		tree.SubElement(primary, "alias", name="ua-first")
		for at, nic in enumerate((standby, primary)):
		    new = copy.deepcopy(nic)
		    new.find("mac").set("address", "52:54:00:00:13:06")
		    new.find("address").set("bus", "0x%02x" % (0x10 + at))
		    new.find("alias").set("name", ("ua-other", "ua-second")[at])
		    if at:
		        new.find("teaming").set("persistent", "ua-other")
		    devices.append(new)
		doc.write(sys.argv[2])
	END
	start_guest two-pools "$FAKE_DIR/two-pools.xml"
	remember
}

@test "a network of VFs: one that a domain has from elsewhere is in the way" {
	start_pool
	sed -e "s/vm-02/other/; s/0202/9902/; s/12:63/12:99/g" \
		-e "s/bus='0x01' slot='0x10' function='0x4'/bus='0x41' slot='0x10' function='0x2'/" \
		"$tests_dir/data/vm-02.xml" >"$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml" , start host-b other
	remember
	assert_refused pool-vf-in-use 'will try VF 0000:41:10.2 of network .*vfs.* first, and fail: a domain runs with it' \
		pool host-b
	make_pool host-b 0000:41:11.0 0000:41:10.2
	run_sm pool host-b
	assert_exit 0
	assert_pair_moved pool $POOL_MAC
}

@test "a network of VFs: a transient domain, whose definition is nowhere to be looked up" {
	make_pool host-a 0000:01:10.4
	make_pool host-b 0000:41:10.2
	fake create host-a "$forms_dir/pool.xml"
	remember
	run_sm pool host-b
	assert_exit 0
	assert_state host-b pool 1
	fake xml host-b pool migratable | grep -q '<source network="vfs"/>'
	[ "$(driven_vf host-b $POOL_MAC)" = 1 ]
}

@test "a network of VFs: left to QEMU, libvirt chooses before the guest arrives" {
	start_pool
	run_sm --unplug=qemu --json pool host-b
	assert_exit 0
	assert_says '"vf":"0000:41:10.2"'
	refute_called 'host-.' 'virDomain(Detach|Attach)'
	assert_pair_moved pool $POOL_MAC
	run_sm_on host-b --unplug=qemu pool host-a
	assert_exit 0
	assert_back pool $POOL_MAC
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "a network of VFs: no VF free there" {
	start_pool
	make_pool host-b 0000:41:10.2
	sed "s/<name>pool/<name>other/; s/0402</0499</; s/00:13:02/00:13:99/" "$forms_dir/pool.xml" >"$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml"
	fake start host-b other
	remember
	assert_refused no-free-vf 'no VF of network .*"vfs.*" is free \(0000:41:10.2: domain other runs with it\)' \
		pool host-b
}

@test "a network of VFs: one that hands out the host's own uplink is refused" {
	start_pool
	make_pool host-b 0000:41:10.4 0000:41:10.2
	assert_refused pool-vf-in-use 'may take VF 0000:41:10.4 .*wan0 is a port of br0' pool host-b
}

@test "a network of VFs: given by its PF, without a list" {
	make_pool host-a 0000:01:10.4
	start_form pool
	echo "<network><name>vfs</name><forward mode='hostdev' managed='yes'><pf dev='enp65s0'/></forward></network>" \
		>"$FAKE_DIR/host-b/networks/vfs"
	echo vfs >>"$FAKE_DIR/host-b/networks/index"
	run_sm check pool host-b
	assert_exit 3
	assert_says 'may take VF 0000:41:10.4 .*wan0 is a port of br0'
}

@test "a network of VFs: not there, or not one of VFs" {
	make_pool host-a 0000:01:10.4
	start_form pool
	assert_refused no-network 'there is no active network .*"vfs' pool host-b
	sed 's/br0-net/vfs/' "$tests_dir/data/br0-net.xml" >"$FAKE_DIR/host-b/networks/vfs"
	echo vfs >>"$FAKE_DIR/host-b/networks/index"
	assert_refused no-pool 'network .*"vfs.*" has no VFs' pool host-b
}

@test "a network of VFs: --vf names none of them" {
	start_pool
	run_sm --vf 0000:41:10.2 pool host-b
	assert_exit 3
	assert_says 'libvirt chooses the VF, from network "vfs"'
}

@test "a network of VFs: managed='no', from the network" {
	fake bind host-a pf0 2 vfio-pci
	fake bind host-b enp65s0 1 vfio-pci
	POOL_MANAGED=no make_pool host-a 0000:01:10.4
	POOL_MANAGED=no make_pool host-b 0000:41:10.2
	start_form pool
	run_sm pool host-b
	assert_exit 0
	assert_pair_moved pool $POOL_MAC
	fake show host-a pf0 | grep -q '^vf pf0 2 .* driver vfio-pci'
}

@test "two guests that move into one network of VFs at the same time get one each" {
	start_pool
	sed "s/<name>pool/<name>other/; s/0402</0499</; s/00:13:02/00:13:99/" "$forms_dir/pool.xml" >"$FAKE_DIR/other.xml"
	start_guest other "$FAKE_DIR/other.xml"
	on host-a env PATH="$FAKE_DIR/bin:$PATH" "$FAKE_DIR/bin/sriov-migrate" other host-b \
		>"$FAKE_DIR/other.out" 2>&1 </dev/null 3>&- &
	local other=$!
	run_sm pool host-b
	assert_exit 0
	wait $other || { cat "$FAKE_DIR/other.out" && return 1; }
	assert_pair_moved pool $POOL_MAC
	assert_pair_moved other 52:54:00:00:13:99
}

# ---- macvtap as the standby ----

MACVTAP_MAC=52:54:00:00:13:03

# The uplinks leave their bridges: a port of a bridge carries no macvtap. A network names them,
# for they have other names on either host.
start_macvtap() {
	local host
	for host in host-a host-b; do
		on $host ip link set "$(uplink_of $host)" nomaster
		await 5 bridge_is_idle $host
		printf '%s' "<network><name>lower</name><forward mode='${MACVTAP_MODE-bridge}'>" \
			"<interface dev='$(uplink_of $host)'/></forward></network>" \
			>"$FAKE_DIR/$host/networks/lower"
		echo lower >>"$FAKE_DIR/$host/networks/index"
	done
	on host-a ip link add link uplink0 name probe type macvtap 2>/dev/null ||
		skip "the kernel has no macvtap"
	on host-a ip link del probe
	start_form macvtap "s/interface type='direct'/interface type='network'/" \
		"s/<source dev='lower0' mode='bridge'/<source network='lower'/" "$@"
}

bridge_is_idle() {
	on "$1" ip -o link show br0 | grep -q 'state DOWN'
}

# Whether the device below the macvtap lets the guest's frames in.
lower_listens() {
	fdb_entries "$1" $MACVTAP_MAC | grep -q "dev $(uplink_of "$1") self"
}

macvtap_is_up() {
	on "$1" ip -o link show macvtap0 | grep -q '[<,]UP[,>]'
}

# Whether a frame from outside leaves by the macvtap.
macvtap_hears() {
	local port=up-0a
	[ "$1" = host-a ] || port=up-0b
	in_world "$frame" "$(pid_of switch)" $port "$(pid_of "$1")" macvtap0 $MACVTAP_MAC $OUTSIDE
}

assert_macvtap_moved() {
	assert_state host-b macvtap 1 && assert_state host-a macvtap 5 || return
	[ -n "$(driven_vf host-b $MACVTAP_MAC)" ] || { echo "no VF is driven" && return 1; }
	[ "$(link_state_of host-b macvtap)" = down ] || { echo "the standby's link is up" && return 1; }
	! lower_listens host-a || { echo "host-a's uplink still listens" && return 1; }
	! fake show host-a pf0 | grep "mac $MACVTAP_MAC" || return
	live_xml host-b macvtap | grep -q "type=.persistent" || return
	assert_no_files
}

@test "a macvtap: moves, and hears by it while the VF is away and when the guest resumes" {
	start_macvtap
	hook migrate.iterating "$(declare -f in_world macvtap_hears pid_of)
		enter_user=(${enter_user[*]}) frame=$frame MACVTAP_MAC=$MACVTAP_MAC OUTSIDE=$OUTSIDE
		macvtap_hears host-a && touch $FAKE_DIR/heard.a"
	hook migrate.finished "$(declare -f in_world macvtap_hears pid_of)
		enter_user=(${enter_user[*]}) frame=$frame MACVTAP_MAC=$MACVTAP_MAC OUTSIDE=$OUTSIDE
		macvtap_hears host-b && touch $FAKE_DIR/heard.b"
	sed -i '1s/sh$/bash/' "$FAKE_DIR/hooks/"*
	run_sm macvtap host-b
	assert_exit 0
	[ -e "$FAKE_DIR/heard.a" ]
	[ -e "$FAKE_DIR/heard.b" ]
	assert_macvtap_moved
	refute_called 'host-.' 'nl.fdb'
	refute_called 'host-.' 'nl.self'
	inactive_xml host-b macvtap | grep -q '<source network="lower"/>'
}

@test "a macvtap: in each mode that shares its device" {
	local mode
	for mode in vepa private; do
		MACVTAP_MODE=$mode start_macvtap
		on host-a ip -d link show macvtap0 | grep -q "macvtap mode $mode"
		run_sm macvtap host-b
		assert_exit 0
		assert_macvtap_moved
		on host-b ip -d link show macvtap0 | grep -q "macvtap mode $mode"
		stop_hosts
		rm -r "$FAKE_DIR"
		[ $mode = private ] || setup
	done
	FAKE_DIR=
}

@test "a macvtap: there and back, and all is as it was" {
	start_macvtap
	run_sm macvtap host-b
	assert_exit 0
	run_sm_on host-b macvtap host-a
	assert_exit 0
	assert_same host-a "$FAKE_DIR/before.a"
	refute lower_listens host-b
}

@test "a macvtap: one that rests down is set up once the VF is gone, and rests down there" {
	start_macvtap
	on host-a ip link set macvtap0 down
	remember
	hook migrate.iterating "ip -o link show macvtap0 | grep -q '[<,]UP[,>]' && touch $FAKE_DIR/up"
	run_sm macvtap host-b
	assert_exit 0
	[ -e "$FAKE_DIR/up" ]
	assert_macvtap_moved
	refute macvtap_is_up host-b
	refute lower_listens host-b
}

@test "a macvtap: a network there that leaves a device to one NIC alone is refused" {
	start_macvtap
	sed -i "s/mode='bridge'/mode='passthrough'/" "$FAKE_DIR/host-b/networks/lower"
	assert_refused macvtap-mode 'has wan0 for itself' macvtap host-b
}

@test "a macvtap: a failed migration leaves it as it was" {
	start_macvtap
	on host-a ip link set macvtap0 down
	remember
	set_fake migrate error-finish
	run_sm macvtap host-b
	assert_exit 1
	assert_unchanged
	[ -n "$(driven_vf host-a $MACVTAP_MAC)" ]
}

@test "a macvtap: without a VF there it carries the guest, until reattach" {
	start_macvtap
	set_fake host-b.attach error
	run_sm macvtap host-b
	assert_exit 4
	macvtap_is_up host-b
	lower_listens host-b
	macvtap_hears host-b
	[ "$(link_state_of host-b macvtap)" = up ]
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm_on host-b reattach macvtap
	assert_exit 0
	assert_macvtap_moved
}

@test "a macvtap: one that rests down does so after a reattach as well" {
	start_macvtap
	on host-a ip link set macvtap0 down
	set_fake host-b.attach error
	run_sm macvtap host-b
	assert_exit 4
	macvtap_is_up host-b
	rm "$FAKE_DIR/set/host-b.attach"
	run_sm_on host-b reattach macvtap
	assert_exit 0
	assert_macvtap_moved
	refute macvtap_is_up host-b
}

@test "a macvtap over a NIC that gives a MAC to its first owner alone: out of the VF's way" {
	stop_hosts
	rm -rf "$FAKE_DIR"
	NIC_DRIVER=mlx5_core start_hosts
	start_macvtap
	fault host-b virDomainAttachDeviceFlags 1 hook:attaching
	hook attaching "ip -o link show macvtap0 | grep -q '[<,]UP[,>]' || touch $FAKE_DIR/out-of-the-way"
	run_sm macvtap host-b
	assert_exit 0
	[ -e "$FAKE_DIR/out-of-the-way" ]
	assert_macvtap_moved
	# As it rested on the source, behind the VF.
	macvtap_is_up host-b
}

@test "a macvtap that would make the new VF deaf rests down, however it did on the source" {
	stop_hosts
	rm -rf "$FAKE_DIR"
	NIC_DRIVER_B=ixgbe start_hosts
	start_macvtap
	run_sm macvtap host-b
	assert_exit 0
	assert_macvtap_moved
	refute lower_listens host-b
	[ "$(nic_delivers host-b $MACVTAP_MAC)" = vf ]
}

@test "a macvtap over a device that is not there, or of no SR-IOV NIC, is refused" {
	start_macvtap
	on host-b ip link add lower1 type veth peer name lower2
	sed -i 's/wan0/lower1/' "$FAKE_DIR/host-b/networks/lower"
	assert_refused no-uplink 'there is no device lower1 that belongs to an SR-IOV NIC' macvtap host-b
	sed -i "s/<interface.*>/<interface dev='wan0'\/><interface dev='lower1'\/><\/forward><\/network>/" \
		"$FAKE_DIR/host-b/networks/lower"
	run_sm macvtap host-b
	assert_exit 3
	assert_says 'does not have one device for macvtaps'
}

@test "a macvtap that has its device for itself is refused" {
	MACVTAP_MODE=passthrough start_macvtap
	assert_refused macvtap-mode 'has uplink0 for itself' macvtap host-b
}

# ---- several pairs, and what is beside them ----

FIRST_MAC=52:54:00:00:13:41
SECOND_MAC=52:54:00:00:13:42

# make_second_nic HOST PF ADDRESS UPLINK-INDEX UPLINK: with a bridge br1 of its own
make_second_nic() {
	on "$1" ip -batch - <<-END
		link add br1 type bridge
		link add $2 type veth peer name $2-far
		link add $5 type veth peer name $5-far
		link set $2 up
		link set $2-far up
		link set $5-far up
		link set $5 up
		link set $5 master br1
		link set br1 up
	END
	fake nic "$1" "$2" "$3" igb igbvf 5 "$4" "$5"
	fake vf-set "$1" "$2" "$4" trust 1
}

start_two_nics() {
	make_second_nic host-a pf1 0000:02:00.0 0 uplink1
	make_second_nic host-b pf9 0000:82:00.0 1 wan9
	fake vf host-a pf0 2 $FIRST_MAC
	start_form two-nics "$@"
	await 5 bridge_is_up host-a br1
	await 5 bridge_is_up host-b br1
	remember
}

# Its state is not known until it has looked at its ports once more.
bridge_is_up() {
	on "$1" ip -o link show "$2" | grep -q 'state UP'
}

@test "two pairs in two forms on two NICs move together, each to its own NIC" {
	start_two_nics
	run_sm --json two-nics host-b
	assert_exit 0
	[ -n "$(driven_vf host-b $FIRST_MAC)" ]
	fake show host-b pf9 | grep -qE "^vf pf9 [0-9] .* mac $SECOND_MAC .* driver vfio-pci command 0507"
	local mac
	for mac in $FIRST_MAC $SECOND_MAC; do
		assert_no_entries host-a $mac
		assert_no_entries host-b $mac
		refute_shown host-a "mac $mac" pf0 pf1
	done
	assert_says '"mac":"52:54:00:00:13:41","vf":"0000:41:'
	assert_says '"mac":"52:54:00:00:13:42","vf":"0000:82:'
	# Each rests as it rested.
	[ "$(link_state_of host-b two-nics $FIRST_MAC)" = down ]
	[ "$(link_state_of host-b two-nics $SECOND_MAC)" != down ]
}

@test "two pairs: a NIC of no pair and a USB device are none of our business" {
	start_two_nics
	live_xml host-a two-nics | tr -d '\n' | grep -oE '<interface type="bridge"> *<mac address="52:54:00:00:13:49".*' |
		sed 's/<\/interface>.*//' >"$FAKE_DIR/lonely"
	run_sm two-nics host-b
	assert_exit 0
	live_xml host-b two-nics | tr -d '\n' | grep -oE '<interface type="bridge"> *<mac address="52:54:00:00:13:49".*' |
		sed 's/<\/interface>.*//' | diff "$FAKE_DIR/lonely" -
	inactive_xml host-b two-nics | grep -q '<vendor id="0x1d6b"/>'
	refute_called 'host-.' 'nl\..*52:54:00:00:13:49'
	refute_called 'host-.' 'nl\..* lonely '
}

@test "two pairs: a failed migration gives both back as they were" {
	start_two_nics
	set_fake migrate error-finish
	run_sm two-nics host-b
	assert_exit 1
	assert_unchanged
	local mac
	for mac in $FIRST_MAC $SECOND_MAC; do
		fake show host-a pf0 pf1 | grep -qE "mac $mac .* command 0507"
	done
}

@test "two pairs: one whose VF is gone already moves with the other, and gets one" {
	start_two_nics
	fake detach host-a two-nics hostdev0
	run_sm two-nics host-b
	assert_exit 0
	[ -n "$(driven_vf host-b $FIRST_MAC)" ]
	fake show host-b pf9 | grep -qE "mac $SECOND_MAC .* command 0507"
}

@test "two pairs: one without its VF on the destination is told, the other is on its own" {
	start_two_nics
	fault host-b nl.vf-mac '*' error:22
	run_sm --json two-nics host-b
	assert_exit 4
	assert_says "\"mac\":\"$FIRST_MAC\",\"vf\":null"
	assert_says "\"mac\":\"$SECOND_MAC\",\"vf\":\"0000:82:"
	no_faults
	run_sm_on host-b reattach two-nics
	assert_exit 0
	[ -n "$(driven_vf host-b $FIRST_MAC)" ]
	assert_no_files
}

@test "a PCI device of no pair is refused before anything is changed" {
	start_two_nics "s/<teaming type='transient' persistent='ua-first'\/>//"
	assert_refused unmovable-device 'has the PCI device 0000:01:10.4, which is of no pair' two-nics host-b
}

# ---- names ----

# move_named NAME: there and back
move_named() {
	local name=$1 file=$FAKE_DIR/named.xml
	python3 - "$forms_dir/plain.xml" "$name" >"$file" <<-'END'
		import sys
		from xml.sax.saxutils import escape
		print(open(sys.argv[1]).read().replace(">plain<", ">%s<" % escape(sys.argv[2])))
	END
	fake vf host-a pf0 1 $PLAIN_MAC
	fake define host-a "$file"
	fake start host-a 7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0401
	remember
	run_sm migrate -- "$name" host-b
	assert_exit 0
	assert_says "^$(printf '%s' "$name" | sed 's/[^[:alnum:]]/./g') is on host-b, on its VF"
	[ -n "$(driven_vf host-b $PLAIN_MAC)" ]
	run_sm_on host-b -- "$name" host-a
	assert_exit 0
	assert_same host-a "$FAKE_DIR/before.a"
}

@test "a name with spaces and quotes" {
	move_named "the guest's \"first\" name"
}

@test "a name that begins with a dash" {
	move_named "--help"
}

@test "a name that is not ASCII, with what means something to a shell or to XML" {
	move_named 'Gäst № 1 <&> $(reboot) `x`; *'
}

@test "a UUID may be written in capitals, or without dashes" {
	start_plain
	run_sm check 7D0C1A34-5B1E-4F0A-9B53-1F4A3C2E0401 host-b
	assert_exit 0
	run_sm check 7d0c1a345b1e4f0a9b531f4a3c2e0401 host-b
	assert_exit 0
	run_sm check 7d0c1a345b1e4f0a9b531f4a3c2e0402 host-b
	assert_exit 3
}

# ---- bridges, uplinks, NICs ----

@test "a standby on Open vSwitch is refused by that name" {
	start_plain "s/<source bridge='br0'\/>/<source bridge='br0'\/><virtualport type='openvswitch'><parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'\/><\/virtualport>/"
	assert_refused openvswitch 'ua-standby is on a bridge of Open vSwitch, which is not supported' plain host-b
}

@test "a network on Open vSwitch is refused by that name, on whichever host it is one" {
	make_pool host-a 0000:01:10.4
	make_pool host-b 0000:41:10.2
	start_form pool
	sed -i "s/<bridge/<virtualport type='openvswitch'\/><bridge/" "$FAKE_DIR/host-b/networks/br0-net"
	assert_refused openvswitch 'ua-standby is on a bridge of Open vSwitch' pool host-b
}

@test "an uplink that stands on another device is found, and its PF" {
	local host
	start_plain
	for host in host-a host-b; do
		on $host ip link set "$(uplink_of $host)" nomaster
		# A VLAN or a bond does the same; the kernel may have neither.
		on $host ip link add link "$(uplink_of $host)" name above type macvlan mode passthru
		on $host ip link set above up
		on $host ip link set above master br0
	done
	await 5 port_forwards host-a above
	await 5 port_forwards host-b above
	set_fake host-a.kmsg 'igb 0000:01:00.0: VF 0 requested MAC filter but is administratively denied'
	run_sm plain host-b
	assert_exit 1
	refute_called host-a virDomainDetachDevice
	rm "$FAKE_DIR/set/host-a.kmsg"
	run_sm plain host-b
	assert_exit 0
	assert_called host-a "nl.self-add above $PLAIN_MAC"
	assert_pair_moved plain $PLAIN_MAC
}

port_forwards() {
	on "$1" bridge link show dev "$2" | grep -q 'state forwarding'
}

@test "a bridge whose entries libvirt manages gets libvirt's entry back" {
	local host
	for host in host-a host-b; do
		sed -i "s/<bridge name='br0'/& macTableManager='libvirt'/" "$FAKE_DIR/$host/networks/br0-net"
	done
	make_pool host-a 0000:01:10.4
	make_pool host-b 0000:41:10.2
	start_form pool
	on host-a bridge fdb replace $POOL_MAC dev "$(tap_of host-a pool)" master static
	# On the destination it is there from the moment on at which the CPUs start.
	hook migrate.finished "nsenter -t $(pid_of host-b) ${enter_user[*]} -n bridge fdb replace $POOL_MAC dev vnet1 master static"
	remember
	run_sm pool host-b
	assert_exit 0
	assert_says "libvirt manages the forwarding entries of network \"br0-net\""
	[ "$(tap_of host-b pool)" = vnet1 ]
	has_entry host-b $POOL_MAC 'dev vnet1 .*master br0 static'
	refute has_entry host-b $POOL_MAC sticky
	refute has_entry host-b $POOL_MAC 'dev wan0 self'
}
