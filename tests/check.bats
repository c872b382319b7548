#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What is refused: with exit 3, a message that names the matter, and nothing touched.

load lib/hosts

setup() {
	setup_hosts_and_guests
}

teardown() {
	teardown_hosts
}

# assert_stopped REGEXP [ARGUMENTS…]: likewise, where it does not come to a check
assert_stopped() {
	local words=$1
	shift
	[ $# -gt 0 ] || set -- vm-01 host-b
	remember
	run_sm check "$@"
	assert_exit 3
	assert_says "$words"
	run_sm migrate "$@"
	assert_exit 3
	assert_says "$words"
	assert_untouched
}

# assert_warned CODE REGEXP [ARGUMENTS…]: by check, which says yes all the same
assert_warned() {
	local code=$1 words=$2
	shift 2
	[ $# -gt 0 ] || set -- vm-01 host-b
	remember
	run_sm --json check "$@"
	assert_exit 0
	assert_says "\"event\":\"warning\".*\"code\":\"$code\".*$words"
	assert_untouched
}

# Starts vm-01 again from its definition changed by sed.
restart_changed() {
	fake stop host-a vm-01
	sed "$@" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/changed.xml"
	start_guest vm-01 "$FAKE_DIR/changed.xml"
}

live_file() {
	echo "$FAKE_DIR/host-a/domains/$(fake show host-a | sed -n "s/^domain $1 \([^ ]*\) state.*/\1/p")/live.xml"
}

@test "check says yes and touches nothing" {
	run_sm check vm-01 host-b
	assert_exit 0
	assert_untouched
	run_sm check vm-02 host-b
	assert_exit 0
	assert_untouched
}

@test "check with --json" {
	run_sm --json check vm-01 host-b
	assert_exit 0
	printf '%s\n' "$output" | tail -n 1 | grep -q '"status":0'
	set_fake ssh unreachable
	run_sm --json check vm-01 host-b
	assert_exit 3
	printf '%s\n' "$output" | tail -n 1 | grep -q '"status":3'
}

@test "unknown domain" {
	assert_refused no-domain 'vm-99' vm-99 host-b
}

@test "a UUID nobody has" {
	assert_refused no-domain '00000000-1111' 00000000-1111-4000-8000-000000000000 host-b
}

@test "domain that is not running" {
	fake stop host-a vm-01
	assert_refused not-running 'vm-01 is not running'
}

@test "domain that is paused" {
	sed -i 's/.*/3 1/' "$FAKE_DIR"/host-a/domains/*0101/state
	assert_refused not-running 'paused'
}

@test "domain another job runs for" {
	echo 1 >"$(echo "$FAKE_DIR"/host-a/domains/*0101)/job"
	assert_refused job-active 'job'
}

@test "no pair" {
	restart_changed "/<teaming/d"
	assert_refused no-pair 'no pair'
}

@test "MACs that differ" {
	restart_changed "0,/52:54:00:00:12:53/s//52:54:00:00:12:77/"
	assert_refused broken-pair '52:54:00:00:12:77'
	assert_says "52:54:00:00:12:53"
}

@test "primary that names no standby" {
	restart_changed "s/persistent='ua-backup0'/persistent='ua-nobody'/"
	assert_refused broken-pair 'ua-nobody'
}

@test "standby that is not on a bridge" {
	restart_changed "s/interface type='bridge'/interface type='user'/; /<source bridge/d"
	assert_refused no-bridge 'bridge'
}

@test "bridge without an uplink on the NIC" {
	on host-a ip link set uplink0 nomaster
	assert_refused no-uplink 'br0'
}

@test "several uplinks here" {
	on host-a ip link set pf0 master br0
	assert_refused several-uplinks 'uplink0, pf0|pf0, uplink0'
}

@test "several uplinks there" {
	on host-b ip link set enp65s0 master br0
	assert_refused several-uplinks 'wan0, enp65s0|enp65s0, wan0'
}

@test "an uplink named that is none" {
	assert_refused no-uplink 'lo' --source-uplink lo vm-01 host-b
}

# br0 follows its only port a moment later.
bridge_is_down() {
	! on "$1" ip link show br0 | grep -q "state UP"
}

@test "uplink down there" {
	on host-b ip link set wan0 down
	await 5 bridge_is_down host-b
	assert_refused uplink-down 'wan0'
}

@test "uplink without carrier there" {
	on switch ip link set up-0b down
	await 5 bridge_is_down host-b
	assert_refused uplink-down 'wan0'
}

@test "uplink down here" {
	on host-a ip link set uplink0 down
	assert_refused uplink-down 'uplink0'
}

@test "bridge down there" {
	on host-b ip link set br0 down
	assert_refused bridge-down 'br0'
}

@test "PF down there" {
	on host-b ip link set enp65s0 down
	assert_refused pf-down 'enp65s0'
}

lead_nowhere() {
	on switch ip link set up-0a down
	on switch ip link set pf-0a down
	await 5 has_no_carrier host-a pf0
	await 5 has_no_carrier host-a uplink0
}

@test "a guest that is cut off here may leave" {
	lead_nowhere
	run_sm --json check vm-01 host-b
	assert_exit 0
	assert_says '"event":"warning".*"code":"cut-off".*uplink0 of br0 has no carrier'
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "a guest that is cut off here and has no VF may leave" {
	run_sm vm-01 host-b
	fake detach host-b vm-01 hostdev0
	on host-b ip link set wan0 down
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	assert_state host-a vm-01 1
	assert_hears host-a vm-01 "$MAC1"
}

@test "a guest without a VF gets one although its uplink is down" {
	run_sm vm-01 host-b
	fake detach host-b vm-01 hostdev0
	on host-b ip link set wan0 down
	run_sm_on host-b --json reattach vm-01
	assert_exit 0
	assert_says '"event":"warning".*"code":"cut-off".*wan0'
	assert_moved vm-01 "$MAC1"
}

@test "bridge missing there" {
	on host-b ip link del br0
	assert_refused no-bridge 'br0'
}

@test "libvirt network missing there" {
	rm "$FAKE_DIR/host-b/networks/br0-net" "$FAKE_DIR/host-b/networks/index"
	assert_refused no-network 'br0-net' vm-02 host-b
}

@test "libvirt's network driver missing there: told to whom it concerns" {
	fault host-b virConnectListAllNetworks 1 error:3
	fault host-b virConnectListAllNetworks 2 error:3
	assert_refused no-network 'br0-net.* cannot be looked at: ' vm-02 host-b
	fault host-b virConnectListAllNetworks 3 error:3
	run_sm vm-01 host-b
	assert_exit 0
	refute_says 'network'
}

@test "libvirt network there leads to another kind" {
	cat >"$FAKE_DIR/host-b/networks/br0-net" <<-END
		<network><name>br0-net</name><forward mode='hostdev'><pf dev='enp65s0'/></forward></network>
	END
	assert_refused no-bridge 'br0-net|bridge' vm-02 host-b
}

@test "no free VF: all of them used by guests" {
	local i
	for i in 0 1 3 4 5; do
		fake bind host-b enp65s0 $i vfio-pci
	done
	assert_refused no-free-vf 'no VF of enp65s0 is free'
}

@test "no free VF: ports of bridges, addresses, defined for others" {
	on host-b ip link set enp65s0v0 master br0
	on host-b ip addr add 192.0.2.1/24 dev enp65s0v1
	on host-b ip link set enp65s0v1 up
	sed "s/vm-02/other/; s/0202/9902/; s/bus='0x01' slot='0x10' function='0x4'/bus='0x41' slot='0x10' function='0x6'/" \
		"$tests_dir/data/vm-02.xml" >"$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml"
	fake bind host-b enp65s0 4 vfio-pci
	fake bind host-b enp65s0 5 vfio-pci
	run_sm check vm-01 host-b
	# A bridge with two ports on the NIC is another matter: name the uplink.
	assert_refused no-free-vf 'domain other is defined with it' --destination-uplink wan0 vm-01 host-b
}

@test "a VF named that is in use, that is none, that is nonsense" {
	assert_refused vf-in-use '41:10.4' --vf 0000:41:10.4 vm-01 host-b
	assert_refused bad-vf '41:1f.7' --vf 0000:41:1f.7 vm-01 host-b
	assert_refused bad-vf 'nonsense' --vf nonsense vm-01 host-b
}

@test "another domain of that name there" {
	sed "s/0101/9901/" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml"
	assert_refused name-taken 'vm-01'
	assert_says 9901
}

@test "another domain of that UUID there" {
	sed "s/vm-01/elsewhere/" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml"
	assert_refused uuid-taken 'elsewhere'
}

@test "the domain itself, shut off there, is no obstacle" {
	fake define host-b "$tests_dir/data/vm-01.xml"
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

@test "the destination is this host" {
	assert_refused same-host 'this host' vm-01 host-a
	assert_refused same-host 'this host' vm-01 local-host
}

@test "unknown destination" {
	assert_stopped 'nowhere' vm-01 nowhere
}

@test "destination that does not answer" {
	set_fake ssh unreachable
	assert_stopped 'No route to host'
}

@test "ssh that would ask for a password" {
	set_fake ssh ask
	assert_stopped 'Permission denied'
	assert_says 'BatchMode'
}

@test "ssh that does not know the host's key" {
	set_fake ssh hostkey
	assert_stopped 'Host key verification failed'
}

@test "program missing there" {
	set_fake ssh missing
	assert_stopped 'not found'
}

@test "program of another protocol version there" {
	set_fake ssh old
	assert_stopped '999'
}

@test "no permission for libvirt here" {
	set_fake host-a.connect denied
	assert_stopped 'Permission denied'
}

@test "no permission for libvirt there" {
	set_fake host-b.connect denied
	assert_stopped 'Permission denied'
	assert_says host-b
}

@test "no permission to change network devices" {
	run_sm_without() {
		run --separate-stderr on host-a setpriv --bounding-set -net_admin --inh-caps -net_admin \
			env PATH="$FAKE_DIR/bin:$PATH" "$FAKE_DIR/bin/sriov-migrate" "$@" 3>&-
	}
	# ssh enters the other host's namespaces, which needs all capabilities in this test only.
	run_sm_without --json check vm-01 host-b
	[ "$status" = 3 ] || assert_exit 3
	assert_problem no-permission 'permission'
	assert_untouched
}

@test "libvirt here would need the operator's ssh-agent to reach libvirt there" {
	set_fake host-a.reach key
	export SSH_AUTH_SOCK=/nowhere
	assert_refused libvirt-unreachable 'host-b|remote'
	run_sm check --client-driven vm-01 host-b
	assert_exit 0
}

@test "libvirt here hears nothing of libvirt there" {
	set_fake host-a.reach silent
	assert_refused libvirt-unreachable 'no answer within 20 s'
}

@test "libvirt here cannot reach libvirt there" {
	set_fake host-a.reach denied
	assert_refused libvirt-unreachable 'Host key verification failed'
	assert_says 'ssh'
}

@test "running on both hosts" {
	fake define host-b "$tests_dir/data/vm-01.xml"
	mkdir -p "$FAKE_DIR/host-b/domains/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101"
	cp "$(echo "$FAKE_DIR"/host-a/domains/*0101)"/{live.xml,state} \
		"$FAKE_DIR/host-b/domains/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101/"
	remember
	run_sm --json vm-01 host-b
	assert_exit 5
	assert_problem running-twice host-a
	assert_says host-b
	assert_untouched
}

@test "uplink that is not trusted: a warning" {
	fake vf-set host-b enp65s0 2 trust 0
	assert_warned uplink-not-trusted 'wan0 is not trusted.*ip link set enp65s0 vf 2'
}

@test "spoof checking on an uplink: a warning" {
	fake vf-set host-a pf0 0 spoofchk 1
	assert_warned uplink-spoofchk 'uplink0.*spoof'
}

@test "bridge whose entries libvirt manages: a warning" {
	sed "s/<bridge name='br0'/& macTableManager='libvirt'/" "$tests_dir/data/br0-net.xml" \
		>"$FAKE_DIR/host-a/networks/br0-net"
	assert_warned libvirt-owns-fdb 'br0-net' vm-02 host-b
}

@test "a VF whose PF says nothing about it stops only what needs it" {
	set_fake vf.silent 5
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
}

# ---- the rest of what check --help lists ----

@test "every check has a test that makes it fail" {
	local code missing=()
	for code in $("$program" check --help | sed -n 's/^  \([a-z-]*\)  *\(error\|warning\|advice\) .*/\1/p'); do
		grep -qE "(assert_(refused|warned|problem) |is_found\(\"|\"code\":\")$code\b" \
			"$tests_dir"/*.bats "$tests_dir"/unit/test-check.c || missing+=("$code")
	done
	[ "${#missing[@]}" = 0 ] || {
		echo "without a test: ${missing[*]}"
		return 1
	}
}

@test "domain that another run holds: busy, says who" {
	on host-a sh -c 'mkdir -p /run/sriov-migrate; cd /run/sriov-migrate
		echo "PID 1 on elsewhere" >domain-7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.lock'
	on host-a flock /run/sriov-migrate/domain-7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.lock \
		sleep 60 3>&- &
	local holder=$!
	await 5 sh -c "pgrep -P $holder -x sleep || pgrep -P $holder >/dev/null"
	run_sm --json check vm-01 host-b
	kill "$holder"
	assert_exit 6
	assert_problem busy 'PID 1 on elsewhere'
}

@test "domain that arrives there by another migration" {
	local there="$FAKE_DIR/host-b/domains/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101"
	fake define host-b "$tests_dir/data/vm-01.xml"
	cp "$(echo "$FAKE_DIR"/host-a/domains/*0101)/live.xml" "$there/"
	echo 3 2 >"$there/state"
	assert_refused incoming 'migrated there already'
}

@test "standby that is no virtio NIC" {
	sed -i "s/<model type=.virtio.\/>/<model type='e1000e'\/>/" "$(live_file vm-01)"
	assert_refused standby-model 'ua-backup0'
}

@test "standby that is virtio-non-transitional is a virtio NIC" {
	sed -i "s/<model type=.virtio.\/>/<model type='virtio-non-transitional'\/>/" "$(live_file vm-01)"
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "standby whose frames QEMU itself carries: a warning" {
	rmdir "$FAKE_DIR/host-b/sys/class/misc/vhost-net"
	assert_warned no-vhost 'vhost-net.*ua-backup0'
	refute_says 'host-a.*ua-backup0'
}

@test "standby that asks for QEMU itself: a warning" {
	sed -i "s/<model type=.virtio.\/>/&<driver name='qemu'\/>/" "$(live_file vm-01)"
	assert_warned no-vhost 'QEMU itself'
}

@test "primary that is no VF" {
	sed -i 's/slot=.0x10. function=.0x2./slot="0x00" function="0x0"/' "$(live_file vm-01)"
	assert_refused no-vf 'ua-backup0'
}

@test "PF that says nothing about the primary's VF" {
	set_fake host-a.vf.silent 1
	assert_refused no-vf-info 'pf0'
}

has_no_carrier() {
	on "$1" ip -o link show "$2" | grep -q NO-CARRIER
}

@test "uplink that the bridge does not forward on" {
	on host-b bridge link set dev wan0 state 0
	# It was the bridge's only port that did; the kernel takes a moment to say so.
	await 5 has_no_carrier host-b br0
	assert_refused uplink-not-forwarding 'wan0'
}

@test "VF of a PF without carrier" {
	on switch ip link set pf-0b down
	await 5 has_no_carrier host-b enp65s0
	assert_refused pf-no-carrier 'enp65s0'
}

@test "VF of a PF without carrier that is always on, as the uplink beside it" {
	on switch ip link set pf-0b down
	await 5 has_no_carrier host-b enp65s0
	fake vf-set host-a pf0 1 state 1
	run_sm --json check vm-01 host-b
	refute_says pf-no-carrier
}

@test "VF whose network device is up: another one is taken, or a warning" {
	on host-b ip link set enp65s0v1 up
	run_sm --json --dry-run vm-01 host-b
	assert_exit 0
	refute_says '"destination_vf":"0000:41:10.2"'
	assert_warned vf-up '0000:41:10.2' --vf 0000:41:10.2 vm-01 host-b
}

leave_journal() {
	on host-a sh -c "mkdir -p /var/lib/sriov-migrate && echo '$1' >/var/lib/sriov-migrate/7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101.journal"
}

@test "journal that cannot be read" {
	leave_journal garbage
	assert_refused bad-journal 'damaged'
}

@test "journal that is to be settled first" {
	leave_journal '{"format":1,"boot":"","head":{"name":"vm-01"}}'
	assert_warned open-journal 'vm-01'
}

@test "NIC that keeps every filter: only check tells" {
	assert_warned filters-leak 'uplink0'
	assert_warned filters-leak 'wan0'
	run_sm --dry-run vm-01 host-b
	refute_says 'keeps every filter'
}

@test "NIC that nobody knows: a warning" {
	stop_hosts
	rm -r "$FAKE_DIR"
	NIC_DRIVER=octeontx2-nicpf setup_hosts_and_guests
	assert_warned unknown-nic 'octeontx2'
}

# A second NIC on host-b: another_nic up|down
another_nic() {
	on host-b ip link add ens9 type veth peer name ens9-peer
	on host-b ip link set ens9 "$1"
	on host-b ip link set ens9-peer up
	fake nic host-b ens9 0000:42:00.0 igb igbvf 2 -1 -
}

@test "VF of another PF than the uplink's, which is down" {
	another_nic down
	assert_refused vf-pf-down 'ens9 is down' --vf 0000:42:10.0 vm-01 host-b
}

@test "VF of another PF than the uplink's, which is in switchdev mode" {
	another_nic up
	set_fake host-b.eswitch switchdev
	set_fake host-b.eswitch.of 0000:42:00.0
	assert_refused vf-pf-switchdev 'ens9.*switchdev' --vf 0000:42:10.0 vm-01 host-b
	run_sm check vm-01 host-b
	assert_exit 0
}

# with_disk FILE [XML]: vm-01 has it; XML goes into the element
with_disk() {
	sed -i "s|<devices>|&<disk type='file' device='disk'><source file='$1'/><target dev='vda'/>${2-}</disk>|" \
		"$(live_file vm-01)"
}

assert_allowed_by() {
	run_sm check "$1" vm-01 host-b
	assert_exit 0
}

@test "disk on a file system of one host" {
	: >"$FAKE_DIR/disk.qcow2"
	with_disk "$FAKE_DIR/disk.qcow2"
	assert_refused disk-not-shared "disk vda, $FAKE_DIR/disk.qcow2, is on a file system of this host alone"
	assert_allowed_by --copy-storage-all
	assert_allowed_by --unsafe
}

@test "disk that nobody writes may be on a file system of one host" {
	: >"$FAKE_DIR/disk.qcow2"
	with_disk "$FAKE_DIR/disk.qcow2" "<readonly/>"
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "disk that is not there" {
	with_disk "$FAKE_DIR/missing.qcow2"
	assert_refused file-missing "disk vda of domain vm-01, $FAKE_DIR/missing.qcow2, is not there"
	# libvirt may make it.
	run_sm check --copy-storage-all vm-01 host-b
	assert_exit 0
}

@test "the libvirt of another host than the agent's" {
	assert_refused libvirt-elsewhere 'qemu\+ssh://local-host/system leads to another host than host-b' \
		--agent-host host-b vm-01 qemu+ssh://local-host/system
}

@test "two hosts of one name" {
	set_fake host-b.hostname host-a
	assert_refused same-hostname 'both hosts are named host-a'
}

@test "a URI that libvirt takes for its own host" {
	echo localhost >>"$FAKE_DIR/host-b/names"
	assert_refused libvirt-unreachable 'qemu\+ssh://localhost:2222/system for the source itself' \
		--agent-host host-b vm-01 qemu+ssh://localhost:2222/system
	run_sm check --client-driven --agent-host host-b vm-01 qemu+ssh://localhost:2222/system
	assert_exit 0
}

# in_qemu_conf HOST LINE
in_qemu_conf() {
	cp -a /etc "$FAKE_DIR/$1/etc"
	mkdir -p "$FAKE_DIR/$1/etc/libvirt"
	echo "$2" >"$FAKE_DIR/$1/etc/libvirt/qemu.conf"
	on "$1" mount --bind "$FAKE_DIR/$1/etc" /etc
}

@test "a destination of which the source knows no address" {
	set_fake host-a.resolver blind
	assert_refused unknown-address 'no address is known for host-b'
	run_sm check --migrate-uri tcp://10.0.0.2 vm-01 host-b
	assert_exit 0
	refute_says 'no address'
	rm "$FAKE_DIR/set/host-a.resolver"
	set_fake host-b.hostname localhost.localdomain
	assert_refused unknown-address 'calls itself localhost'
	in_qemu_conf host-b '#migration_host = "10.0.0.2"'
	assert_refused unknown-address 'calls itself localhost'
	echo ' migration_host = "10.0.0.2"' >>"$FAKE_DIR/host-b/etc/libvirt/qemu.conf"
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "a block device that is not there" {
	restart_changed "s|<devices>|&<disk type='block'><source dev='$FAKE_DIR/lun'/><target dev='vda'/></disk>|"
	assert_refused file-missing "disk vda of domain vm-01, $FAKE_DIR/lun, is not there"
	ln -s /dev/null "$FAKE_DIR/lun"
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "another NIC on a bridge, or a network, that is not there" {
	local nic="<interface type='bridge'><mac address='52:54:00:00:99:01'/><source bridge='br1'/><model type='virtio'/></interface>"
	on host-a ip link add br1 type bridge
	restart_changed "s|<devices>|&$nic|"
	assert_refused other-nic 'bridge .*br1.*, on which another NIC of domain vm-01 stands, is not to be found there'
	on host-b ip link add br1 type bridge
	run_sm check vm-01 host-b
	assert_exit 0
	sed 's/br0/br1/g' "$tests_dir/data/br0-net.xml" >"$FAKE_DIR/host-a/networks/lan"
	sed -i 's/br1-net/lan/' "$FAKE_DIR/host-a/networks/lan"
	echo lan >>"$FAKE_DIR/host-a/networks/index"
	nic="<interface type='network'><mac address='52:54:00:00:99:01'/><source network='lan'/></interface>"
	restart_changed "s|<devices>|&$nic|"
	assert_refused other-nic 'network .*lan.*, on which another NIC of domain vm-01 stands, is not active there'
	nic="<interface type='direct'><mac address='52:54:00:00:99:01'/><source dev='br1' mode='bridge'/></interface>"
	restart_changed "s|<devices>|&$nic|"
	run_sm check vm-01 host-b
	assert_exit 0
	on host-b ip link del br1
	on host-b ip link property add dev br0 altname br1
	run_sm check vm-01 host-b
	assert_exit 0
	on host-b ip link property del dev br0 altname br1
	assert_refused other-nic 'device .*br1.*, on which another NIC of domain vm-01 stands, is not to be found there'
}

has_link() {
	on "$1" ip link show dev "$2" >/dev/null 2>&1
}

has_no_link() {
	! has_link "$@"
}

# hold_tap HOST NAME: a process there has the tap open, as another domain's would, until tap-held is removed
hold_tap() {
	: >"$FAKE_DIR/tap-held"
	on "$1" python3 -c '
import fcntl, os, struct, sys, time
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", sys.argv[1].encode(), 0x1002))
while os.path.exists(sys.argv[2]):
    time.sleep(0.05)' "$2" "$FAKE_DIR/tap-held" 3>&- &
	await 5 has_link "$1" "$2"
}

@test "a device there that has the name of one of the domain's taps" {
	hold_tap host-b vmtap01
	assert_refused tap-in-use 'there is a device vmtap01 already'
	rm "$FAKE_DIR/tap-held"
	await 5 has_no_link host-b vmtap01
	run_sm check vm-01 host-b
	assert_exit 0
	local nic="<interface type='bridge'><mac address='52:54:00:00:99:01'/><source bridge='br0'/><target dev='other'/></interface>"
	restart_changed "s|<devices>|&$nic|"
	on host-b ip link add other type bridge
	assert_refused tap-in-use 'there is a device other already'
}

@test "a tap there that waits for the domain is no obstacle" {
	on host-b ip tuntap add vmtap01 mode tap
	on host-b ip link set vmtap01 master br0
	assert_refused tap-in-use 'there is a device vmtap01 already'
	on host-b ip link set vmtap01 nomaster
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	assert_hears host-b vm-01 "$MAC1"
}

@test "a journal that cannot be written" {
	on host-b mount -t tmpfs -o ro none /var/lib
	assert_refused no-journal 'the journal cannot be written: .*Read-only'
}

@test "no room for a journal" {
	on host-b mount -t tmpfs -o size=32k none /var/lib
	assert_refused no-journal 'the journal cannot be written: .*No space left'
}

@test "no room for a lock" {
	on host-b sh -c 'mount -t tmpfs -o size=32k none /run; mkdir /run/sriov-migrate; head -c 32k /dev/zero >/run/full'
	assert_refused no-permission 'no lock can be taken: .*No space left'
}

@test "an emulator that is not there" {
	restart_changed "s|<devices>|<devices><emulator>$FAKE_DIR/qemu</emulator>|"
	assert_refused file-missing "emulator of domain vm-01, $FAKE_DIR/qemu, is not there"
}

@test "domain with a block job, a transient disk, an invariant TSC" {
	restart_changed "s|<devices>|<devices><disk type='block'><target dev='vda'/></disk><disk type='block'><target dev='vdc'/></disk>|"
	set_fake host-a.block-job vdc
	assert_refused unmovable-domain 'a block job on disk vdc'
	rm "$FAKE_DIR/set/host-a.block-job"
	restart_changed "s|<devices>|<devices><disk type='block'><target dev='vdb'/><transient/></disk>|"
	assert_refused unmovable-domain 'the transient disk vdb'
	restart_changed "s|<devices>|<cpu mode='host-passthrough'><feature policy='require' name='invtsc'/></cpu>&|"
	assert_refused unmovable-domain 'invtsc'
	restart_changed "s|<devices>|<cpu mode='host-passthrough' migratable='off'/>&|"
	assert_refused unmovable-domain 'invariant TSC'
	restart_changed "s|<devices>|<cpu mode='host-passthrough' migratable='off'><feature policy='disable' name='invtsc'/></cpu>&|"
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "domain with what QEMU itself has a migration blocker for" {
	restart_changed "s|<devices>|<launchSecurity type='sev'/>&|"
	assert_refused unmovable-domain 'has <launchSecurity>'
	restart_changed "s|<devices>|<features><hyperv mode='passthrough'/></features>&|"
	assert_refused unmovable-domain "has <hyperv mode='passthrough'>"
	restart_changed "s|<devices>|&<video><model type='virtio'><acceleration accel3d='yes'/></model></video>|"
	assert_refused unmovable-domain 'a <video> with accel3d'
}

@test "standby and uplink are isolated ports" {
	restart_changed "/ua-backup0/s|^|<port isolated='yes'/>|"
	on host-b bridge link set dev wan0 isolated on
	assert_refused standby-isolated 'ua-backup0 and uplink wan0 are isolated ports: br0 forwards nothing'
	on host-b bridge link set dev wan0 isolated off
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "a packet filter that drops what bridges forward" {
	type nft >/dev/null || skip "no nft"
	[ -e /proc/sys/net/bridge ] || skip "no br_netfilter"
	on host-b sh -c 'nft add table ip filter
		nft "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"
		echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables' || skip "no nf_tables"
	assert_warned bridge-filtered 'br0 hands its IPv4 frames to this host.s FORWARD chain'
	on host-b sh -c 'nft "add chain inet sm forward { type filter hook forward priority 0; policy drop; }" 2>&1 ||
		nft "add table inet sm; add chain inet sm forward { type filter hook forward priority 0; policy drop; }"
		echo 1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables'
	assert_warned bridge-filtered 'IPv4 and IPv6'
	on host-b sh -c 'echo 0 >/proc/sys/net/bridge/bridge-nf-call-ip6tables
		echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables'
	run_sm check vm-01 host-b
	assert_exit 0
	refute_says 'packet filter\|FORWARD'
}

@test "the ROM of a device is not there" {
	restart_changed "s|</interface>|<rom file='$FAKE_DIR/rom'/>&|"
	assert_refused file-missing "ROM of an <interface> of domain vm-01, $FAKE_DIR/rom, is not there"
}

@test "domain with devices that libvirt does not migrate" {
	local device
	for device in "<hostdev mode='subsystem' type='scsi_host'/>" "<shmem name='s'/>" \
		"<hostdev mode='capabilities' type='misc'/>"; do
		restart_changed "s|<devices>|&$device|"
		run_sm --json check vm-01 host-b
		assert_exit 3
		assert_problem unmovable-domain "has a .*${device:1:5}"
	done
	restart_changed "s|<devices>|&<shmem name='s' role='master'/><hostdev mode='subsystem' type='usb'/>|"
	run_sm check vm-01 host-b
	assert_exit 0
	restart_changed "s|<devices>|&<filesystem type='mount'><driver type='virtiofs'/></filesystem>|"
	run_sm check vm-01 host-b
	assert_exit 0
	set_fake libvirt-version 9000000
	run_sm check vm-01 host-b
	assert_exit 3
	assert_says 'virtiofs'
}

@test "domain with devices that a libvirt without word from QEMU does not migrate" {
	local device
	for device in "<hostdev mode='subsystem' type='mdev' model='vfio-pci'/>" "<hostdev mode='subsystem' type='scsi'/>" \
		"<interface type='vdpa'/>"; do
		rm -f "$FAKE_DIR"/set/*-version
		restart_changed "s|<devices>|&$device|"
		run_sm check vm-01 host-b
		assert_exit 0
		set_fake libvirt-version 8004000
		run_sm --json check vm-01 host-b
		assert_exit 3
		assert_problem unmovable-domain "has an? .*${device:1:5}.* type='$(sed "s/.* type='\([a-z]*\)'.*/\1/" <<<"$device")'"
		rm "$FAKE_DIR/set/libvirt-version"
		set_fake qemu-version 5002000
		run_sm check vm-01 host-b
		assert_exit 3
		assert_says 'The migration would be refused'
	done
}

@test "disk on an NVMe device" {
	restart_changed "s|<devices>|&<disk type='nvme' device='disk'><source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x65' slot='0x00' function='0x0'/></source><target dev='vdc'/></disk>|"
	assert_refused disk-not-shared 'disk vdc is an NVMe device of this host alone'
	assert_allowed_by --copy-storage-all
	assert_allowed_by --unsafe
}

@test "a PCI device in the definition alone: a warning" {
	sed "s|</devices>|<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x65' slot='0x00' function='0x0'/></source></hostdev>&|" \
		"$tests_dir/data/vm-01.xml" >"$FAKE_DIR/changed.xml"
	fake define host-a "$FAKE_DIR/changed.xml"
	assert_warned defined-device '0000:65:00.0, without which it runs'
}

@test "a standby that has another alias in the definition: warnings" {
	sed "s/ua-backup0/ua-other/" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/changed.xml"
	fake define host-a "$FAKE_DIR/changed.xml"
	assert_warned defined-device 'has the VF 0000:01:10.2 for the standby ua-other, without which it runs'
	assert_warned defined-without-vf "has the VF for $MAC1 under the alias ua-other, the standby runs with ua-backup0"
	refute_says 'has no VF for the standby'
}

@test "a primary in the definition that names another standby: warnings" {
	sed "s/persistent='ua-backup0'/persistent='ua-other'/" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/changed.xml"
	fake define host-a "$FAKE_DIR/changed.xml"
	assert_warned defined-device 'has the VF 0000:01:10.2 for the standby'
	assert_warned defined-without-vf 'under the alias of another, the standby runs with ua-backup0'
}

@test "a pair in the definition alone: a warning" {
	sed "s|</devices>|<interface type='bridge'><mac address='52:54:00:00:99:01'/><source bridge='br0'/><model type='virtio'/><teaming type='persistent'/><alias name='ua-more'/></interface><interface type='hostdev' managed='yes'><mac address='52:54:00:00:99:01'/><source><address type='pci' domain='0' bus='1' slot='0x10' function='0x6'/></source><teaming type='transient' persistent='ua-more'/></interface>&|" \
		"$tests_dir/data/vm-01.xml" >"$FAKE_DIR/changed.xml"
	fake define host-a "$FAKE_DIR/changed.xml"
	assert_warned defined-device 'has the VF 0000:01:10.6 for the standby ua-more'
	refute_says 'defined-without-vf'
}

@test "domain with snapshots" {
	set_fake snapshots 2
	assert_refused snapshots '2 snapshots'
	run_sm reattach vm-01
	assert_exit 0
}

@test "a managed save image of the domain there: a warning" {
	set_fake saved 1
	run_sm --json check vm-01 host-b
	assert_exit 0
	refute_says managed-save
	fake define host-b "$tests_dir/data/vm-01.xml"
	assert_warned managed-save 'managed save image of domain vm-01 there'
	assert_says 'virsh managedsave-remove vm-01'
}

@test "VF of another PF than the uplink's: a warning" {
	another_nic up
	assert_warned other-pf '0000:42:10.0 is of ens9' --vf 0000:42:10.0 vm-01 host-b
}

@test "bridges of different MTU: a warning" {
	on host-b ip link set br0 mtu 1400
	assert_warned mtu-differs '1400'
}

forwards() {
	on "$1" bridge link show dev "$2" | grep -q 'state forwarding'
}

@test "a guest in a VLAN whose standby is not: a warning" {
	fake vf-set host-a pf0 1 vlan 42
	assert_warned vlan-differs "the guest's VF is in VLAN 42, and uplink uplink0 in VLAN 0"
	assert_says 'uplink wan0 in VLAN 0'
	fake vf-set host-a pf0 0 vlan 42
	fake vf-set host-b enp65s0 2 vlan 42
	run_sm check vm-01 host-b
	assert_exit 0
	refute_says 'in VLAN'
}

@test "bridge there that runs STP: a warning" {
	on host-b ip link set br0 type bridge stp_state 1 forward_delay 200
	await 10 forwards host-b wan0
	assert_warned stp-delay 'after 4 s'
}

@test "definition that has lost its VF: a warning" {
	sed "/<interface type='hostdev'/,/<\/interface>/d" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/changed.xml"
	fake define host-a "$FAKE_DIR/changed.xml"
	assert_warned defined-without-vf 'ua-backup0'
}

@test "the standby's tap is down, is no port of the bridge, or is not there" {
	on host-a ip link set vmtap01 down
	assert_refused tap-closed 'tap vmtap01 of the standby ua-backup0 is down .*br0' vm-01 host-b
	assert_says 'ip link set vmtap01 up master br0'
	on host-a ip link set vmtap01 up
	on host-a ip link set vmtap01 nomaster
	assert_refused tap-closed 'tap vmtap01 .* is no port of the bridge' vm-01 host-b
	on host-a ip link set vmtap01 master br0
	await 5 forwards host-a vmtap01
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "a domain that an agent there still settles is busy" {
	local dir=/run/sriov-migrate uuid=7d0c1a34-5b1e-4f0a-9b53-1f4a3c2e0101
	run_sm vm-01 host-b
	assert_exit 0
	run_sm_on host-b vm-01 host-a
	assert_exit 0
	on host-b sh -c "echo 'PID 1 on elsewhere' >$dir/domain-$uuid.lock"
	on host-b flock $dir/domain-$uuid.lock sleep 60 3>&- &
	local holder=$!
	await 5 on host-b sh -c "! flock -n $dir/domain-$uuid.lock true"
	run_sm --json check vm-01 host-b
	kill "$holder"
	assert_exit 6
	assert_problem busy 'PID 1 on elsewhere'
}

@test "a VF whose PF says nothing about it is passed over, or refused by name" {
	# That one would be taken: it has the number of the source's.
	run_sm --dry-run vm-01 host-b
	assert_says '0000:41:10.2'
	set_fake host-b.vf.silent 1
	assert_refused vf-in-use 'VF 0000:41:10.2 is not free: its PF says nothing about it' --vf 0000:41:10.2 vm-01 host-b
	run_sm vm-01 host-b
	assert_exit 0
	assert_moved vm-01 "$MAC1"
	[ "$(live_xml host-b vm-01 | vf_in)" != 41:10.2 ]
}

@test "a VF that a network of VFs may give out is taken last" {
	echo "<network><name>vfs</name><forward mode='hostdev' managed='yes'><address type='pci' domain='0' bus='0x41' slot='0x10' function='0x2'/></forward></network>" \
		>"$FAKE_DIR/host-b/networks/vfs"
	echo vfs >>"$FAKE_DIR/host-b/networks/index"
	run_sm vm-01 host-b
	assert_exit 0
	[ "$(live_xml host-b vm-01 | vf_in)" = 41:10.0 ]
}

@test "a disk whose image is an overlay of one that is not there" {
	: >"$FAKE_DIR/there.qcow2"
	with_disk "$FAKE_DIR/there.qcow2" \
		"<backingStore type='file'><source file='$FAKE_DIR/base.qcow2'/><backingStore/></backingStore>"
	run_sm --json check --unsafe vm-01 host-b
	assert_exit 3
	assert_problem file-missing "what disk vda is backed by of domain vm-01, $FAKE_DIR/base.qcow2, is not there"
	run_sm check --copy-storage-all vm-01 host-b
	assert_exit 0
	run_sm check --copy-storage-inc vm-01 host-b
	assert_exit 3
}

@test "PFs take larger frames than what the standby goes by: check tells of each host" {
	on host-a ip link set pf0 mtu 4000
	on host-b ip link set enp65s0 mtu 4000
	assert_warned standby-mtu 'PF pf0 has MTU 4000, the way of the standby by uplink0 1500'
	assert_says 'PF enp65s0 has MTU 4000, the way of the standby by wan0 1500'
}

@test "somebody else's domain whose XML is refused stands in nobody's way" {
	sed -e "s/vm-02/other/; s/0202/9902/; s/12:63/12:99/g" \
		-e "s/bus='0x01' slot='0x10' function='0x4'/bus='0x41' slot='0x10' function='0x6'/" \
		-e 's|<devices>|<metadata><a:x xmlns:a="http://e.org/?a=1\&amp;b=2"/></metadata>&|' \
		"$tests_dir/data/vm-02.xml" >"$FAKE_DIR/other.xml"
	grep -q 'a=1&amp;b' "$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml" , start host-b other
	run_sm vm-01 host-b
	assert_exit 0
	assert_says 'what domain other uses is not known'
	assert_moved vm-01 "$MAC1"
}

@test "a VF that another program has opened by iommufd is not free" {
	local pci=$FAKE_DIR/host-b/sys/devices/pci/0000:41:10.2
	fake bind host-b enp65s0 1 vfio-pci
	mkdir -p "$pci/vfio-dev/vfio3"
	mkdir -p /dev/vfio/devices 2>/dev/null || skip "nothing can be made in /dev"
	[ ! -e /dev/vfio/devices/vfio3 ] || skip "there is such a device"
	: >/dev/vfio/devices/vfio3
	sleep 60 3>&- </dev/vfio/devices/vfio3 &
	local holder=$!
	run_sm --json check --vf 0000:41:10.2 vm-01 host-b
	kill "$holder"
	rm /dev/vfio/devices/vfio3
	rmdir /dev/vfio/devices 2>/dev/null || :
	assert_exit 3
	assert_problem vf-in-use "process $holder has /dev/vfio/devices/vfio3 open"
}

@test "all that stands in the way is told at once, also where there is no uplink" {
	on host-a ip link set uplink0 nomaster
	on host-b ip link set wan0 nomaster
	set_fake host-a.vf.silent 1
	run_sm --json check --vf 0000:41:1f.7 vm-01 host-b
	assert_exit 3
	local code
	for code in no-uplink no-vf-info bad-vf; do
		assert_problem "$code" ''
	done
}

@test "all that stands in the way is told at once" {
	on host-b ip link set wan0 down
	on host-b ip link set enp65s0 down
	echo 1 >"$(echo "$FAKE_DIR"/host-a/domains/*0101)/job"
	sed "s/0101/9901/" "$tests_dir/data/vm-01.xml" >"$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml"
	fake vf-set host-a pf0 0 trust 0
	run_sm --json check --vf 0000:41:1f.7 vm-01 host-b
	assert_exit 3
	local code
	for code in job-active name-taken uplink-down pf-down bad-vf; do
		assert_problem "$code" ''
	done
	assert_says '"event":"warning".*"code":"uplink-not-trusted"'
}

@test "program of another version there: a warning" {
	set_fake ssh version
	assert_warned versions-differ '0\.0\.9'
}

@test "libvirt there is too old" {
	set_fake host-b.libvirt-version 6000000
	assert_refused libvirt-too-old '6\.0\.0'
}

@test "QEMU there is too old" {
	set_fake host-b.qemu-version 4001050
	assert_refused qemu-too-old '4\.1\.50'
}

@test "QEMU there is older: a warning; a smaller last figure is none" {
	set_fake host-b.qemu-version 9002004
	assert_warned older-destination 'QEMU.*9\.2\.4'
	set_fake host-b.qemu-version 10000001
	run_sm --json check vm-01 host-b
	refute_says 'older-destination'
}

@test "clocks that differ: a warning" {
	set_fake host-b.clock 90
	assert_warned clocks-differ '(89|90) s ahead of'
	set_fake host-b.clock 2
	run_sm --json check vm-01 host-b
	refute_says 'clocks-differ'
}

# with_cpu XML: vm-01 runs with that
with_cpu() {
	sed -i "s|<devices>|$1&|" "$(live_file vm-01)"
}

@test "CPU there lacks what the guest's has: a warning" {
	with_cpu "<cpu mode='custom' match='exact' check='full'><model>EPYC</model><feature policy='require' name='avx512f'/></cpu>"
	set_fake host-b.cpu.lacks avx512f
	assert_warned cpu-incompatible 'avx512f'
}

@test "CPU of the host itself: compared with the one there" {
	with_cpu "<cpu mode='host-passthrough' check='none'/>"
	set_fake host-b.cpu.lacks Rome
	assert_warned cpu-incompatible 'Rome'
}

@test "CPU that libvirt finds fault with where the guest runs: nothing is said" {
	with_cpu "<cpu mode='custom' match='exact' check='full'><model>EPYC</model><feature policy='require' name='topoext'/></cpu>"
	set_fake host-a.cpu.lacks topoext
	set_fake host-b.cpu.lacks topoext
	run_sm --json check vm-01 host-b
	assert_exit 0
	refute_says 'cpu-incompatible'
}

@test "CPU that libvirt cannot compare: nothing is said" {
	with_cpu "<cpu mode='custom'><model>EPYC</model></cpu>"
	fault host-b virConnectCompareHypervisorCPU '*' error
	run_sm --json check vm-01 host-b
	assert_exit 0
	refute_says 'cpu-incompatible'
}

@test "a machine type that only the domain's own emulator has is no obstacle" {
	sed -i "s/machine=.q35./machine='pc-q35-11.2'/; s,<devices>,<devices><emulator>$FAKE_PROGRAM</emulator>," \
		"$(live_file vm-01)"
	set_fake host-b.machine.lacks pc-q35-11.2
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "machine type that QEMU there does not have" {
	sed -i "s/machine=.q35./machine='pc-q35-11.2'/" "$(live_file vm-01)"
	with_cpu "<cpu mode='custom'><model>EPYC</model></cpu>"
	set_fake host-b.machine.lacks pc-q35-11.2
	assert_refused machine-unsupported 'pc-q35-11.2'
}

@test "guest larger than the host there" {
	set_fake host-b.memory.total 131072
	assert_refused memory-too-small '160 MiB.*128 MiB'
}

@test "guest larger than what is free there: a warning; huge pages are another matter" {
	set_fake host-b.memory.free 131072
	assert_warned memory-short '160 MiB.*128 MiB'
	sed -i "s|<devices>|<memoryBacking><hugepages/></memoryBacking>&|" "$(live_file vm-01)"
	run_sm --json check vm-01 host-b
	refute_says 'memory-short'
}

# huge_pages HOST KIB FREE OVERCOMMIT
huge_pages() {
	local d=$FAKE_DIR/$1/sys/kernel/mm/hugepages/hugepages-$2kB
	mkdir -p "$d"
	echo "$3" >"$d/free_hugepages"
	echo "$4" >"$d/nr_overcommit_hugepages"
	echo 0 >"$d/surplus_hugepages"
}

@test "guest with more huge pages than are free there" {
	huge_pages host-b 1048576 1 0
	huge_pages host-b 2048 40 0
	sed -i "s|<devices>|<memoryBacking><hugepages><page size='2048' unit='KiB'/></hugepages></memoryBacking>&|" \
		"$(live_file vm-01)"
	assert_refused memory-too-small '160 MiB of memory in huge pages, and 80 MiB of such are free'
	huge_pages host-b 2048 40 40
	run_sm check vm-01 host-b
	assert_exit 0
	sed -i "s|size='2048'|size='16384'|" "$(live_file vm-01)"
	assert_refused memory-too-small '0 MiB of such are free'
	sed -i "s|size='16384'|size='$(($(getconf PAGESIZE) / 1024))'|" "$(live_file vm-01)"
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "memory devices of which the guest has not taken all, or which are in a file: no memory is needed for them" {
	set_fake host-b.memory.total 262144
	sed -i "s|<devices>|&<memory model='virtio-mem'><target><size unit='KiB'>33554432</size><current unit='KiB'>65536</current></target></memory>\
		<memory model='nvdimm'><target><size unit='KiB'>1048576</size></target></memory>|
		s|>163840<|>34766848<|" "$(live_file vm-01)"
	run_sm check vm-01 host-b
	assert_exit 0
	set_fake host-b.memory.total 196608
	assert_refused memory-too-small '224 MiB.*192 MiB'
}

# with_agent: vm-01 runs with a guest agent
with_agent() {
	sed "s|</devices>|<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>&|" \
		"$tests_dir/data/vm-01.xml" >"$FAKE_DIR/changed.xml"
	fake stop host-a vm-01
	start_guest vm-01 "$FAKE_DIR/changed.xml"
}

@test "guest without an agent: check cannot verify net_failover, and migrate does not mind" {
	assert_warned guest-unverified 'no guest agent'
	run_sm --dry-run vm-01 host-b
	refute_says 'guest agent'
}

@test "guest with an agent and net_failover" {
	with_agent
	run_sm --json check vm-01 host-b
	assert_exit 0
	refute_says 'guest-'
}

@test "guest with an agent, but without net_failover: a warning" {
	with_agent
	set_fake guest.failover none
	assert_warned guest-without-failover '2 network devices.*makes 3'
}

@test "a guest that does not use the VF that it has: a warning" {
	fake bind host-a pf0 1 igbvf
	fake bind host-a pf0 1 vfio-pci
	assert_warned vf-unused 'does not use VF 0000:01:10.2'
}

@test "guest agent that does not answer" {
	with_agent
	set_fake agent dead
	run_sm --json check vm-01 host-b
	assert_exit 0
	refute_says 'guest-without'
	assert_says '"code":"guest-unverified".*its guest agent does not answer'
}

@test "standby without an alias of its own" {
	sed -i 's/ua-backup0/net0/g' "$(live_file vm-01)"
	assert_refused alias-not-user 'net0'
}

@test "a primary whose alias would be another one after a rollback: a warning" {
	sed -i "s,<graphics,<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source><alias name='hostdev1'/></hostdev><graphics," "$(live_file vm-01)"
	assert_warned alias-lost 'hostdev0'
}

@test "primary on the root bus" {
	sed -i 's/bus=.0x05. slot=.0x00./bus="0x00" slot="0x04"/' "$(live_file vm-01)"
	assert_refused not-hotpluggable 'root bus'
}

@test "primary behind a port without hotplug" {
	sed -i "s|<controller type=.pci. index=.0.|<controller type='pci' index='5' model='pcie-root-port'><target hotplug='off'/></controller>&|" \
		"$(live_file vm-01)"
	assert_refused not-hotpluggable 'switched off'
}

@test "VF bound to a vfio driver of its own: check says that it may move as it is" {
	fake bind host-a pf0 1 mlx5_vfio_pci
	assert_warned natively-migratable 'mlx5_vfio_pci'
}

@test "NIC in switchdev mode" {
	set_fake host-b.eswitch switchdev
	assert_refused switchdev 'enp65s0.*switchdev'
}

@test "NIC that says it is in legacy mode, or does not say" {
	local mode
	for mode in legacy none; do
		set_fake eswitch $mode
		run_sm check vm-01 host-b
		assert_exit 0
	done
}

@test "uplink that has no room for one more MAC" {
	local i
	for i in 1 2 3; do
		on host-b bridge fdb add 02:00:00:00:77:0$i dev wan0 self permanent
	done
	assert_refused filters-full 'wan0.*3 MACs.*02:00:00:00:77:02'
}

@test "uplink that has the guest's MAC already needs no room" {
	local mac
	for mac in 02:00:00:00:77:01 02:00:00:00:77:02 "$MAC1"; do
		on host-b bridge fdb add "$mac" dev wan0 self permanent
	done
	run_sm check vm-01 host-b
	assert_exit 0
}

@test "uplink that is trusted or has no administrator's MAC" {
	fake vf-set host-b enp65s0 2 trust 0
	fake vf host-b enp65s0 2 00:00:00:00:00:00 >/dev/null
	run_sm --json check vm-01 host-b
	assert_exit 0
	refute_says 'uplink-not-trusted'
}

@test "another VF there, in use, with the guest's MAC" {
	fake vf host-b enp65s0 4 "$MAC1" >/dev/null
	on host-b ip addr add 192.0.2.1/24 dev enp65s0v4
	assert_refused mac-in-use 'VF 0000:41:11.0 has 52:54:00:00:12:53.*in use'
}

@test "another VF there, not in use, with the guest's MAC: a warning" {
	fake vf host-b enp65s0 4 "$MAC1" >/dev/null
	assert_warned mac-left 'VF 0000:41:11.0 has 52:54:00:00:12:53'
}

@test "another domain there with the guest's MAC" {
	sed "s/vm-02/other/; s/0202/9902/; s/52:54:00:00:12:63/$MAC1/; /<interface type='hostdev'/,/<\/interface>/d" \
		"$tests_dir/data/vm-02.xml" >"$FAKE_DIR/other.xml"
	fake define host-b "$FAKE_DIR/other.xml"
	fake start host-b other
	assert_refused mac-of-other-domain 'domain other runs there'
}

@test "VF without an IOMMU group, or in one with a device of the host, is not free" {
	local pci=$FAKE_DIR/host-b/sys/devices/pci
	# What only the kernel's placeholder holds is in nobody's way.
	mkdir -p "$pci/0000:41:1e.0"
	echo 0x020000 >"$pci/0000:41:1e.0/class"
	ln -s ../../../bus/pci/drivers/pci-stub "$pci/0000:41:1e.0/driver"
	ln -s ../../../devices/pci/0000:41:1e.0 "$FAKE_DIR/host-b/sys/bus/pci/devices/0000:41:1e.0"
	ln -s ../../../../devices/pci/0000:41:1e.0 "$pci/0000:41:10.2/iommu_group/devices/0000:41:1e.0"
	run_sm check --vf 0000:41:10.2 vm-01 host-b
	assert_exit 0
	ln -sfn ../../../bus/pci/drivers/e1000e "$pci/0000:41:1e.0/driver"
	assert_refused vf-in-use 'IOMMU group.*0000:41:1e.0' --vf 0000:41:10.2 vm-01 host-b
	rm "$FAKE_DIR/host-b/sys/devices/pci/0000:41:10.2/iommu_group"
	assert_refused vf-in-use 'no IOMMU group' --vf 0000:41:10.2 vm-01 host-b
	ln -s ../../../../devices/pci/0000:41:00.0 \
		"$FAKE_DIR/host-b/sys/devices/pci/0000:41:10.6/iommu_group/devices/0000:41:00.0"
	assert_refused vf-in-use 'IOMMU group.*0000:41:00.0' --vf 0000:41:10.6 vm-01 host-b
}

@test "VF that carries a vDPA device is not free" {
	mkdir "$FAKE_DIR/host-b/sys/devices/pci/0000:41:10.2/vdpa0"
	assert_refused vf-in-use 'vDPA device vdpa0' --vf 0000:41:10.2 vm-01 host-b
}

@test "PF there takes smaller frames" {
	on host-b ip link set enp65s0 mtu 1400
	assert_warned mtu-differs 'PF enp65s0 has MTU 1400'
}

@test "NIC there has no VFs" {
	rm "$FAKE_DIR"/host-b/sys/devices/pci/0000:41:00.0/virtfn*
	echo 6 >"$FAKE_DIR/host-b/sys/devices/pci/0000:41:00.0/sriov_totalvfs"
	on host-b ip link set wan0 nomaster
	on host-b ip link set enp65s0 master br0
	assert_refused no-uplink 'the NIC of enp65s0, a port of bridge br0, has no VFs'
}

@test "guest agent that lives and does not answer" {
	set_fake agent stuck
	run_sm check vm-02 host-b
	assert_exit 0
}

@test "--strict makes an error of a warning" {
	on host-b ip link set br0 mtu 1400
	remember
	run_sm --strict --json vm-01 host-b
	assert_exit 3
	assert_problem mtu-differs 1400
	assert_untouched
}
