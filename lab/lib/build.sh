# shellcheck shell=bash
# shellcheck disable=SC2154 # lab_dir and started_us are set by the command
# SPDX-License-Identifier: GPL-2.0-or-later
# The cached part: tools on this machine, the root file system of a host, the guests'
# kernel and initramfs, the disk image.
#
#   $LAB_CACHE/root        a Debian 13 tree; hosts are made of it, the program is built in it
#   $LAB_CACHE/image-KEY   disk.img and what boots it; running labs keep theirs

LAB_SUITE=trixie

# What a host runs, what the program needs there, and what building it needs.
LAB_PACKAGES=(
	linux-image-amd64 udev kmod systemd-standalone-sysusers sysvinit-core
	iproute2 iputils-ping ethtool tcpdump procps nftables busybox-static cpio
	openssh-server openssh-client cron python3 socat
	libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-driver-network
	libvirt-daemon-driver-nodedev libvirt-clients qemu-system-x86 qemu-guest-agent
	libiniparser4 libjansson4 libmnl0 libxml2
	gcc make autoconf automake pkg-config libc6-dev
	libvirt-dev libxml2-dev libmnl-dev libiniparser-dev libjansson-dev bash-completion
)

# Modules that hosts and guests load, in an order that respects their needs.
LAB_BOOT_MODULES=(virtio_blk ext4 qemu_fw_cfg)
LAB_HOST_MODULES=(virtio_net igb igbvf bridge tun kvm-amd vfio-pci veth nf_tables)
LAB_GUEST_MODULES=(failover net_failover virtio_net igbvf)

build_tools()
{
	local missing=() command package

	while read -r command package; do
		command -v "$command" >/dev/null || missing+=("$package")
	done <<-END
		mmdebstrap mmdebstrap
		cpio cpio
		xz xz-utils
		ip iproute2
		ssh openssh-client
		mke2fs e2fsprogs
		qemu-img qemu-utils
		nsenter util-linux
		flock util-linux
		sysctl procps
	END
	if ((${#missing[@]} > 0)); then
		apt_update
		say "installing ${missing[*]}"
		apt_install "${missing[@]}"
	fi
	if (($(qemu_major) < 8)); then
		install_qemu
		(($(qemu_major) >= 8)) || die "QEMU 8 or newer is needed (for its igb device)"
	fi
}

qemu_major()
{
	local version

	version=$(qemu-system-x86_64 --version 2>/dev/null) || {
		echo 0
		return
	}
	version=${version#*version }
	echo "${version%%.*}"
}

apt_update()
{
	[ -z "${apt_is_fresh-}" ] || return 0
	say "reading package lists"
	apt-get -q update >&2
	apt_is_fresh=1
}

apt_install()
{
	DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install "$@" >&2
}

# The mirror this machine's own apt uses for Debian.
apt_mirror()
{
	local code=$1 mirror

	mirror=$(apt-get indextargets --format "\$(SITE) \$(CODENAME) \$(COMPONENT)" \
		'Created-By: Packages' |
		awk -v code="$code" '$2 == code && $3 == "main" { print $1; exit }')
	[ -n "$mirror" ] || die "apt knows no source for Debian $code main"
	echo "$mirror"
}

own_codename()
{
	(
		# shellcheck source=/dev/null
		. /etc/os-release
		echo "${VERSION_CODENAME-}"
	)
}

install_qemu()
{
	local code candidate mirror
	local list=/etc/apt/sources.list.d/sriov-migrate-lab-backports.list

	code=$(own_codename)
	apt_update
	candidate=$(apt-cache policy qemu-system-x86 | awk '$1 == "Candidate:" { print $2 }')
	candidate=${candidate#*:}
	if ((${candidate%%.*} >= 8)) 2>/dev/null; then
		say "installing QEMU $candidate"
		apt_install qemu-system-x86 qemu-utils
		return
	fi
	if ! apt-cache policy | grep -q "n=$code-backports"; then
		mirror=$(apt_mirror "$code")
		say "adding $code-backports to apt's sources, for QEMU"
		echo "deb $mirror $code-backports main" >"$list"
		apt-get -q update >&2
	fi
	say "installing QEMU from $code-backports"
	apt_install -t "$code-backports" qemu-system-x86 qemu-utils
}

# Changes whenever something the root file system is made from does.
root_key()
{
	{
		echo "root 1 $LAB_SUITE ${LAB_PACKAGES[*]}"
		declare -f build_root
	} | sha256sum | cut -c1-16
}

image_key()
{
	{
		root_key
		cat "$lab_dir"/lib/build.sh "$lab_dir"/host/* "$lab_dir"/guest/* \
			"$lab_dir"/probe.c
	} | sha256sum | cut -c1-16
}

build_root()
{
	local root=$LAB_CACHE/root mirror options=$LAB_CACHE/apt.conf

	mirror=$(apt_mirror "$(own_codename)")
	apt-config dump |
		grep -E '^Acquire::(http|https|ftp|Retries|Check-)[^ ]* ".+";' >"$options" || true
	say "making the hosts' root file system (Debian $LAB_SUITE, most of a minute)"
	rm -rf --one-file-system "$root.new"
	# INITRD=No: the kernel package must not build an initramfs nobody boots.
	INITRD=No mmdebstrap --quiet --mode=root --variant=minbase \
		--aptopt="$options" --aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$(IFS=, && echo "${LAB_PACKAGES[*]}")" \
		"$LAB_SUITE" "$root.new" "deb $mirror $LAB_SUITE main" >&2 ||
		die "could not make the root file system"
	rm -f "$options"
	root_key >"$root.new/.lab-key"
	rm -rf --one-file-system "$root"
	mv "$root.new" "$root"
}

# Run a command in the cached root, which it cannot change; further arguments up to
# "--" are DIR:MOUNTPOINT pairs.  Mounts end with the command.
in_root()
{
	local binds=()

	while [ "$1" != -- ]; do
		binds+=("$1")
		shift
	done
	shift
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -euc '
		root=$1
		shift
		mount --bind "$root" "$root"
		mount -o remount,bind,ro "$root"
		mount -t tmpfs tmp "$root/tmp"
		mount -t tmpfs run "$root/run"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		while [ "$1" != -- ]; do
			mkdir -p "$root/${1#*:}"
			mount --bind "${1%%:*}" "$root/${1#*:}"
			shift
		done
		shift
		exec chroot "$root" "$@"' in_root "$LAB_CACHE/root" "${binds[@]}" -- "$@"
}

# module_files MODULE...: the files to load for these, needed ones first.
module_files()
{
	local kernel=$1

	shift
	in_root -- modprobe -S "$kernel" --show-depends -a "$@" |
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

pack_tree()
{
	(cd "$1" && find . -print0 | LC_ALL=C sort -z |
		cpio --quiet -0 -o -H newc -R 0:0) >"$2"
}

# Copy a program of the root and the libraries it needs into a tree.
copy_with_libraries()
{
	local file=$1 tree=$2 need

	for need in "$file" $(in_root -- ldd "$file" | grep -oE '/[^ ]+'); do
		mkdir -p "$tree${need%/*}"
		cp -L "$LAB_CACHE/root$need" "$tree$need"
	done
}

build_image()
{
	local root=$LAB_CACHE/root image=$LAB_CACHE/image.new tree=$LAB_CACHE/tree
	local own=$root/usr/local/lib/lab kernel file name key

	rm -rf --one-file-system "$image" "$tree"
	mkdir -p "$image" "$tree"
	kernel=$(basename "$root"/lib/modules/*)
	say "making the guests and the disk image (kernel $kernel)"

	rm -rf "$own" "$root/var/lib/lab"
	mkdir -p "$own/bin" "$root/var/lib/lab" "$root/etc/lab"
	mkdir -p "$tree/out"
	in_root "$lab_dir:/tmp/lab" "$tree/out:/tmp/out" -- sh -euc '
		gcc -O2 -static -o /tmp/out/probe /tmp/lab/probe.c
		gcc -O2 -static -o /tmp/out/agent /tmp/lab/guest/agent.c'
	install -m 755 -t "$own/bin" "$tree"/out/*

	# Modules used here are kept unpacked: unpacking them is slow where they run.
	for file in $(module_files "$kernel" "${LAB_BOOT_MODULES[@]}" \
		"${LAB_HOST_MODULES[@]}" "${LAB_GUEST_MODULES[@]}"); do
		[ "${file%.xz}" = "$file" ] || xz -d "$root$file"
	done
	chroot "$root" depmod "$kernel"

	# The guests.
	mkdir -p "$tree"/guest/{bin,sbin,modules,proc,sys,dev,root,etc,run}
	cp "$root/bin/busybox" "$tree/guest/bin/busybox"
	"$tree/guest/bin/busybox" --list | while read -r name; do
		[ "$name" = busybox ] || ln -s busybox "$tree/guest/bin/$name"
	done
	install -m 755 "$lab_dir/guest/init" "$tree/guest/init"
	install -m 755 "$lab_dir/guest/hotplug" "$tree/guest/bin/lab-hotplug"
	install -m 755 "$lab_dir/guest/state" "$tree/guest/bin/lab-state"
	install -m 755 "$own/bin/agent" "$tree/guest/bin/lab-agent"
	for file in $(module_files "$kernel" "${LAB_GUEST_MODULES[@]}"); do
		cp "$root$file" "$tree/guest/modules/"
	done
	pack_tree "$tree/guest" "$root/var/lib/lab/guest.img"
	copy_with_libraries /usr/sbin/qemu-ga "$tree/guest"
	pack_tree "$tree/guest" "$root/var/lib/lab/guest-agent.img"
	cp "$root/boot/vmlinuz-$kernel" "$root/var/lib/lab/vmlinuz"

	# What boots a host.
	mkdir -p "$tree"/host/{bin,modules,proc,sys,dev,root}
	cp -a "$tree"/guest/bin/* "$tree/host/bin/"
	install -m 755 "$lab_dir/host/initrd-init" "$tree/host/init"
	for file in $(module_files "$kernel" "${LAB_BOOT_MODULES[@]}"); do
		cp "$root$file" "$tree/host/modules/"
		basename "$file" .ko >>"$tree/host/modules/order"
	done
	pack_tree "$tree/host" "$image/initrd"
	cp "$root/boot/vmlinuz-$kernel" "$image/vmlinuz"

	# What makes it a host.
	install -m 755 -t "$own" "$lab_dir"/host/{boot,late,clock}
	install -m 755 -t "$root/usr/local/sbin" "$lab_dir"/host/lab-{libvirt,nic,snapshot}
	install -m 644 "$lab_dir/host/inittab" "$root/etc/inittab"
	install -m 644 -t "$own" "$lab_dir"/guest/vm-*.xml
	install -m 600 -D "$lab_dir/host/br0-net.xml" "$root/etc/libvirt/qemu/networks/br0-net.xml"
	mkdir -p "$root/etc/libvirt/qemu/networks/autostart" "$root/var/log/lab"
	ln -sf ../br0-net.xml "$root/etc/libvirt/qemu/networks/autostart/br0-net.xml"
	rm -f "$root"/etc/libvirt/qemu/networks/{,autostart/}default.xml
	for file in "$root"/usr/lib/udev/rules.d/*.rules; do
		case ${file##*/} in
		50-udev-default.rules | 80-drivers.rules) ;;
		*) rm -f "$file" ;;
		esac
	done
	install -m 644 "$lab_dir/host/10-lab.rules" "$root/etc/udev/rules.d/10-lab.rules"
	cat >"$root/etc/libvirt/qemu.conf" <<-END
		# The lab's guests run as root and QEMU writes their console logs itself.
		user = "root"
		group = "root"
		dynamic_ownership = 0
		remember_owner = 0
		security_driver = "none"
		stdio_handler = "file"
		namespaces = []
	END
	cat >"$root/etc/ssh/sshd_config" <<-END
		HostKey /etc/ssh/ssh_host_ed25519_key
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		UsePAM no
		UseDNS no
		MaxSessions 200
		MaxStartups 100
		PerSourcePenalties no
		PrintMotd no
		PrintLastLog no
		Subsystem sftp /usr/lib/openssh/sftp-server
	END
	rm -f "$root"/etc/ssh/ssh_host_*
	printf '%s\n' 'LABEL=labroot / ext4 defaults 0 0' >"$root/etc/fstab"
	: >"$root/etc/machine-id"

	rm -f "$image/disk.img"
	mke2fs -q -t ext4 -L labroot -E lazy_itable_init=1,lazy_journal_init=1 \
		-d "$root" "$image/disk.img" 6G >/dev/null
	key=$(image_key)
	rm -rf --one-file-system "$LAB_CACHE/image-$key"
	mv "$image" "$LAB_CACHE/image-$key"
	rm -rf --one-file-system "$tree"
	# the disks of a running lab are layers over the image it was started with
	for file in "$LAB_CACHE"/image-*; do
		[ "$file" = "$LAB_CACHE/image-$key" ] ||
			grep -qsxF "$file" /run/sriov-migrate-*/image ||
			rm -rf --one-file-system "$file"
	done
}

lab_build()
{
	local lock

	[ -c /dev/net/tun ] || modprobe tun || die "this machine has no /dev/net/tun"
	mkdir -p "$LAB_CACHE"
	exec {lock}>"$LAB_CACHE/lock"
	flock "$lock"
	build_tools
	if [ ! -d "$LAB_CACHE/image-$(image_key)" ]; then
		[ "$(cat "$LAB_CACHE/root/.lab-key" 2>/dev/null)" = "$(root_key)" ] ||
			started_us=$started_us "$lab_dir/lab" _root || die "not built"
		started_us=$started_us "$lab_dir/lab" _image || die "not built"
	fi
	exec {lock}>&-
}
