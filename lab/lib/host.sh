# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The running lab: the switch (a network namespace), the hosts (QEMU processes), the
# ways to reach them.
#
# Everything that runs is recorded as a file NAME.pid in $LAB_STATE, and every process
# started has $LAB_STATE in its command line: a pid file that lies because its number
# was given to somebody else is seen and left alone.

declare -A HOST_NUMBER=([host-a]=1 [host-b]=2)
declare -A HOST_LETTER=([host-a]=a [host-b]=b)

# ---- processes

# The pid in a pid file, if that process is still ours.
own_pid()
{
	local pid

	{ read -r pid <"$1"; } 2>/dev/null || return 1
	[[ $pid =~ ^[0-9]+$ ]] || return 1
	{ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "$LAB_STATE/" || return 1
	echo "$pid"
}

end_process()
{
	local file=$1 pid tries=0

	if pid=$(own_pid "$file"); then
		kill "-${2:-TERM}" "$pid" 2>/dev/null
		while own_pid "$file" >/dev/null && ((tries++ < 40)); do
			sleep 0.05
		done
		! own_pid "$file" >/dev/null || kill -KILL "$pid" 2>/dev/null
		while own_pid "$file" >/dev/null && ((tries++ < 80)); do
			sleep 0.05
		done
	fi
	rm -f "$file"
}

in_switch()
{
	nsenter --net="/run/netns/$LAB_NETNS" -- "$@"
}

# Start a program in the switch's namespace, record its pid, leave it running.
in_switch_background()
{
	local pid_file=$1

	shift
	# every step replaces the process before it, so that the pid stays
	(
		[ -z "${lab_lock-}" ] || exec {lab_lock}>&-
		exec nsenter --net="/run/netns/$LAB_NETNS" -- setsid "$@" </dev/null
	) &
	echo $! >"$pid_file"
	disown
}

# ---- switch

switch_up()
{
	local bridge port

	[ ! -e "/run/netns/$LAB_NETNS" ] || return 0
	ip netns add "$LAB_NETNS" || return 1
	in_switch sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 \
		net.ipv6.conf.default.disable_ipv6=1 2>/dev/null
	in_switch ip link set dev lo up
	for bridge in swdata swmgmt; do
		in_switch ip link add name "$bridge" type bridge forward_delay 0 \
			mcast_snooping 0 || return 1
		in_switch ip link set dev "$bridge" up
	done
	in_switch ip addr add 10.9.0.1/24 dev swdata
	in_switch ip addr add 10.8.0.1/24 dev swdata
	in_switch ip addr add 192.168.77.254/24 dev swmgmt
	for port in data-a:swdata data2-a:swdata mgmt-a:swmgmt \
		data-b:swdata data2-b:swdata mgmt-b:swmgmt; do
		in_switch ip tuntap add dev "${port%:*}" mode tap || return 1
		in_switch ip link set dev "${port%:*}" master "${port#*:}" up
	done
}

# The hosts no longer hear each other on the management network; this machine still
# hears both.
switch_isolate()
{
	in_switch bridge link set dev mgmt-a isolated "$1" &&
		in_switch bridge link set dev mgmt-b isolated "$1"
}

# ---- hosts

host_known()
{
	[ -n "${HOST_NUMBER[$1]-}" ] || die "no such host: $1 (${LAB_HOSTS[*]})"
}

host_runs()
{
	own_pid "$LAB_STATE/$1.pid" >/dev/null
}

# What distinguishes a host: names, keys, addresses; packed for fw_cfg.
seed_make()
{
	local host=$1 n=${HOST_NUMBER[$1]} letter=${HOST_LETTER[$1]}
	local seed=$LAB_STATE/seed-$1 uuid

	rm -rf "$seed"
	mkdir -p "$seed"/etc/{lab,ssh,libvirt} "$seed"/root/.ssh
	uuid=0a5e0000-0000-4000-8000-00000000000$n
	echo "$host" >"$seed/etc/hostname"
	cat >"$seed/etc/hosts" <<-END
		127.0.0.1 localhost
		192.168.77.1 host-a
		192.168.77.2 host-b
		192.168.77.254 outside
	END
	cat >"$seed/etc/lab/seed" <<-END
		LAB_HOST=$host
		LAB_MGMT_IP=192.168.77.$n
		LAB_BRIDGE_IP=10.9.0.1$n
		LAB_VF_IP=10.9.0.2$n
		LAB_MAC_PREFIX=52:54:00:0$letter
	END
	cat >"$seed/etc/libvirt/libvirtd.conf" <<-END
		host_uuid = "$uuid"
		auth_unix_ro = "none"
		auth_unix_rw = "none"
		keepalive_interval = 2
		keepalive_count = 5
	END
	install -m 600 "$LAB_STATE/id" "$seed/root/.ssh/id_ed25519"
	install -m 644 "$LAB_STATE/id.pub" "$seed/root/.ssh/id_ed25519.pub"
	install -m 600 "$LAB_STATE/id.pub" "$seed/root/.ssh/authorized_keys"
	install -m 600 "$LAB_STATE/known_hosts" "$seed/root/.ssh/known_hosts"
	install -m 600 "$LAB_STATE/hostkey" "$seed/etc/ssh/ssh_host_ed25519_key"
	install -m 644 "$LAB_STATE/hostkey.pub" "$seed/etc/ssh/ssh_host_ed25519_key.pub"
	chmod 700 "$seed/root/.ssh"
	tar -C "$seed" --owner=0 --group=0 -cf "$LAB_STATE/$host.seed" etc root
	rm -rf "$seed"
}

keys_make()
{
	local host

	[ ! -e "$LAB_STATE/ssh_config" ] || return 0
	ssh-keygen -q -t ed25519 -N '' -C sriov-migrate-lab -f "$LAB_STATE/id"
	ssh-keygen -q -t ed25519 -N '' -C sriov-migrate-lab -f "$LAB_STATE/hostkey"
	for host in "${LAB_HOSTS[@]}"; do
		printf '%s,192.168.77.%d %s\n' "$host" "${HOST_NUMBER[$host]}" \
			"$(cut -d' ' -f1,2 "$LAB_STATE/hostkey.pub")"
	done >"$LAB_STATE/known_hosts"
	{
		for host in "${LAB_HOSTS[@]}"; do
			printf 'Host %s\n\tHostName 192.168.77.%d\n' "$host" \
				"${HOST_NUMBER[$host]}"
		done
		cat <<-END
			Host *
				User root
				BatchMode yes
				IdentityFile $LAB_STATE/id
				IdentitiesOnly yes
				UserKnownHostsFile $LAB_STATE/known_hosts
				GlobalKnownHostsFile /dev/null
				ControlPath $LAB_STATE/%n.ssh
				ConnectTimeout 10
				LogLevel ERROR
		END
	} >"$LAB_STATE/ssh_config"
}

host_start()
{
	local host=$1 n=${HOST_NUMBER[$1]} letter=${HOST_LETTER[$1]}
	local disk=$LAB_CACHE/disk-$LAB_NAME-$1.qcow2 image

	! host_runs "$host" || return 0
	image=$(cat "$LAB_STATE/image") || return 1
	seed_make "$host" || return 1
	[ -e "$disk" ] || qemu-img create -q -f qcow2 -F raw \
		-b "$image/disk.img" "$disk" || return 1
	: >"$LAB_STATE/$host.console"
	# On a busy machine the emulated timer is late, and the kernel would take it for broken:
	# no_timer_check.
	# 2 GiB and no more: with more memory the firmware opens a 64-bit window, and the
	# VFs of some QEMU releases cannot live there.
	in_switch_background "$LAB_STATE/$host.pid" qemu-system-x86_64 \
		-name "$host" -uuid "0a5e0000-0000-4000-8000-00000000000$n" \
		-machine q35,kernel-irqchip=split -cpu max -smp 1 -m 2G \
		-accel tcg,tb-size=256 \
		-device intel-iommu,intremap=on \
		-kernel "$image/vmlinuz" -initrd "$image/initrd" \
		-append "console=ttyS0 quiet intel_iommu=on iommu=pt net.ifnames=0 mitigations=off no_timer_check" \
		-fw_cfg "name=opt/lab/seed,file=$LAB_STATE/$host.seed" \
		-drive "file=$disk,if=virtio,format=qcow2,cache=unsafe,discard=unmap" \
		-netdev "tap,id=mgmt,ifname=mgmt-$letter,script=no,downscript=no" \
		-device "virtio-net-pci,netdev=mgmt,romfile=,mac=52:54:00:0$letter:00:fe" \
		-netdev "tap,id=data,ifname=data-$letter,script=no,downscript=no" \
		-device pcie-root-port,id=rp1,bus=pcie.0,chassis=1,slot=1 \
		-device "igb,bus=rp1,netdev=data,romfile=,mac=52:54:00:0$letter:00:01" \
		-netdev "tap,id=data2,ifname=data2-$letter,script=no,downscript=no" \
		-device pcie-root-port,id=rp2,bus=pcie.0,chassis=2,slot=2 \
		-device "igb,bus=rp2,netdev=data2,romfile=,mac=52:54:00:0$letter:00:02" \
		-rtc base=utc,clock=host -nodefaults -no-user-config -display none \
		-serial "file:$LAB_STATE/$host.console" \
		-monitor "unix:$LAB_STATE/$host.monitor,server=on,wait=off" \
		>"$LAB_STATE/$host.log" 2>&1
}

# Wait for a started host's word that it is ready, then open the way in.
host_wait()
{
	local host=$1 tries=0

	until grep -q 'lab: .* ready' "$LAB_STATE/$host.console"; do
		if grep 'lab: .*FAILED' "$LAB_STATE/$host.console" >&2 ||
			((tries++ > 1200)) || { ((tries > 20)) && ! host_runs "$host"; }; then
			tail -n 20 "$LAB_STATE/$host.log" >&2
			tail -n 20 "$LAB_STATE/$host.console" >&2
			warn "$host does not come up"
			return 1
		fi
		sleep 0.1
	done
	master_start "$host"
}

# One ssh connection per host that every command shares.
master_start()
{
	local host=$1 tries=0

	! own_pid "$LAB_STATE/$host.ssh.pid" >/dev/null || return 0
	until [ -S "$LAB_STATE/$host.ssh" ] && host_ssh -O check "$host" 2>/dev/null; do
		if ! own_pid "$LAB_STATE/$host.ssh.pid" >/dev/null; then
			rm -f "$LAB_STATE/$host.ssh"
			in_switch_background "$LAB_STATE/$host.ssh.pid" \
				ssh -F "$LAB_STATE/ssh_config" -M -N -T \
				-o ServerAliveInterval=5 -o ServerAliveCountMax=6 "$host" \
				>>"$LAB_STATE/$host.ssh.log" 2>&1
		fi
		((tries++ < 100)) || {
			tail -n 3 "$LAB_STATE/$host.ssh.log" >&2
			warn "no ssh to $host"
			return 1
		}
		sleep 0.2
	done
}

host_ssh()
{
	in_switch ssh -F "$LAB_STATE/ssh_config" "$@"
}

lab_is_up()
{
	if [ ! -e "/run/netns/$LAB_NETNS" ] || [ ! -e "$LAB_STATE/ssh_config" ]; then
		die "the lab \"$LAB_NAME\" is not up"
	fi
}

# ---- commands

lab_up()
{
	local host

	mkdir -p "$LAB_STATE" && chmod 700 "$LAB_STATE"
	exec {lab_lock}>"/run/sriov-migrate-$LAB_NAME.lock"
	flock "$lab_lock"
	if host_runs host-a && host_runs host-b; then
		host_wait host-a && host_wait host-b || exit 1
		say "is up already"
		return 0
	fi
	trap 'warn "not up: taking down what was started"; lab_take_down' EXIT
	trap 'exit 130' INT TERM HUP
	lab_build || exit 1
	[ -e "$LAB_STATE/image" ] ||
		echo "$LAB_CACHE/image-$(image_key)" >"$LAB_STATE/image"
	say "starting the switch and the hosts"
	switch_up || exit 1
	keys_make || exit 1
	for host in "${LAB_HOSTS[@]}"; do
		host_start "$host" || exit 1
	done
	for host in "${LAB_HOSTS[@]}"; do
		host_wait "$host" || exit 1
		say "$host is ready"
	done
	clock_sync || exit 1
	trap - EXIT INT TERM HUP
	say "up; vm-01 starts with: lab guest start vm-01 host-a"
}

lab_take_down()
{
	local file host pid

	for file in "$LAB_STATE"/*.pid; do
		[ -e "$file" ] || continue
		case $file in
		*/host-?.pid) end_process "$file" KILL ;;
		*) end_process "$file" ;;
		esac
	done
	if [ -e "/run/netns/$LAB_NETNS" ]; then
		# one that was killed before it could note a pid has left it here
		for pid in $(ip netns pids "$LAB_NETNS"); do
			echo "$pid" >"$LAB_STATE/stray.pid"
			end_process "$LAB_STATE/stray.pid"
		done
		ip netns del "$LAB_NETNS"
	fi
	for host in "${LAB_HOSTS[@]}"; do
		rm -f "$LAB_CACHE/disk-$LAB_NAME-$host.qcow2"
	done
	rm -rf "$LAB_STATE" "/run/sriov-migrate-$LAB_NAME.lock"
}

lab_down()
{
	exec {lab_lock}>"/run/sriov-migrate-$LAB_NAME.lock"
	flock "$lab_lock"
	lab_take_down
}

lab_purge()
{
	rm -rf --one-file-system "$LAB_CACHE"
}

lab_status()
{
	local host

	if [ ! -e "/run/netns/$LAB_NETNS" ]; then
		echo "lab $LAB_NAME: down"
		return 1
	fi
	echo "lab $LAB_NAME: switch up"
	for host in "${LAB_HOSTS[@]}"; do
		if ! host_runs "$host"; then
			echo "$host: off"
		else
			echo "$host: pid $(own_pid "$LAB_STATE/$host.pid")"
			lab_run -t 10 "$host" virsh -q list --all </dev/null |
				sed "s/^/$host:  /"
		fi
	done
}

lab_run()
{
	local limit='' line host

	while [[ ${1-} == -* ]]; do
		case $1 in
		-t)
			limit=${2-}
			shift
			;;
		*) die "run: unknown option $1" ;;
		esac
		shift
	done
	need_args 2 $#
	host=$1
	shift
	host_known "$host"
	lab_is_up
	if (($# == 1)); then
		line=$1
	else
		line=$(printf '%q ' "$@")
	fi
	if [ -n "$limit" ]; then
		printf -v line 'timeout -k 2 %q bash -c %q' "$limit" "$line"
		timeout $((limit + 5)) nsenter --net="/run/netns/$LAB_NETNS" -- \
			ssh -F "$LAB_STATE/ssh_config" -T "$host" "$line"
	else
		host_ssh -T "$host" "$line"
	fi
}

lab_login()
{
	local host

	lab_is_up
	if [ -n "${HOST_NUMBER[$1]-}" ]; then
		host_ssh -t "$1"
	else
		host=$(guest_where "$1") || exit 1
		host_ssh -t "$host" virsh console --force "$1"
	fi
}

lab_copy()
{
	lab_is_up
	in_switch scp -q -r -F "$LAB_STATE/ssh_config" "$@"
}

# Pull the plug: nothing in the host gets a chance to do anything.
lab_off()
{
	host_known "$1"
	lab_is_up
	end_process "$LAB_STATE/$1.pid" KILL
	end_process "$LAB_STATE/$1.ssh.pid"
	rm -f "$LAB_STATE/$1.ssh"
}

lab_on()
{
	host_known "$1"
	lab_is_up
	exec {lab_lock}>"/run/sriov-migrate-$LAB_NAME.lock"
	flock "$lab_lock"
	host_start "$1" && host_wait "$1" && clock_sync
}

# Set every running host's clock by this machine's: the best of several questions.
clock_sync()
{
	local host asked answer got offset best best_rtt rtt i
	local down up

	for host in "${LAB_HOSTS[@]}"; do
		host_runs "$host" || continue
		coproc CLOCK { host_ssh -T "$host" /usr/local/lib/lab/clock 2>/dev/null; }
		up=${CLOCK[1]} down=${CLOCK[0]}
		best_rtt=999999999 best=0
		for i in 1 2 3 4 5 6 7 8 9 10; do
			asked=${EPOCHREALTIME/[.,]/}
			echo '?' >&"$up"
			read -r -t 10 answer <&"$down" || break
			got=${EPOCHREALTIME/[.,]/}
			rtt=$((got - asked))
			offset=$(((asked + got) / 2 - answer))
			if ((i > 1 && rtt < best_rtt)); then
				best_rtt=$rtt best=$offset
			fi
		done
		echo "$((best * 1000))" >&"$up"
		read -r -t 10 answer <&"$down"
		eval "exec $up>&-"
		wait "$CLOCK_PID" 2>/dev/null
		[ "$best_rtt" != 999999999 ] || {
			warn "could not set the clock of $host"
			return 1
		}
		say "$host: clock set by $best µs (within $((best_rtt / 2)) µs)"
	done
}
