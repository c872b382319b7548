/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame FROM-PID FROM-DEV TO-PID TO-DEV DESTINATION SOURCE [LIMIT-MS]
 *
 * Sends a real Ethernet frame out of a device in one network namespace and waits for it to be
 * delivered to one in another: 0 when it was, 1 when it was not. A destination device that is a
 * tap counts as delivered to when the host sends the frame into it. TO-DEV "-": only sends.
 *
 * With FRAME_GROUP in the environment it is an IPv4 packet, so that bridges that snoop take it for
 * multicast of the group 239.1.2.3.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_SIZE = 64, ETHER_TYPE = 0x88b5 /* for local experiments */, LIMIT_MS = 300 };

static void die(const char *what)
{
	fprintf(stderr, "frame: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void enter(const char *pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static int packet_socket(const char *pid, const char *dev, uint16_t protocol)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	int fd;

	enter(pid);
	ll.sll_ifindex = (int)if_nametoindex(dev);
	if (!ll.sll_ifindex)
		die(dev);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		die("packet socket");
	return fd;
}

static void read_mac(const char *s, uint8_t *ret)
{
	if (sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret[0], &ret[1], &ret[2], &ret[3],
		    &ret[4], &ret[5]) != 6)
		die(s);
}

static int wait_for(int fd, const uint8_t *frame, int64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint8_t got[2048];
		int64_t left = deadline - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return 1;
		n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
		if (n >= FRAME_SIZE && memcmp(got, frame, FRAME_SIZE) == 0)
			return 0;
	}
}

/* The header; with its sum, as bridges look at that. */
static size_t put_packet(uint8_t *frame)
{
	static const uint8_t header[] = { 0x45, 0, 0, FRAME_SIZE - 14, 0, 0, 0, 0, 1, 0xfe, 0x05,
		0xc9, 192, 0, 2, 1, 239, 1, 2, 3 };

	frame[12] = 0x08;
	frame[13] = 0x00;
	memcpy(frame + 14, header, sizeof(header));
	return sizeof(header);
}

int main(int argc, char **argv)
{
	uint8_t frame[FRAME_SIZE] = { [12] = ETHER_TYPE >> 8, [13] = ETHER_TYPE & 0xff };
	size_t used = 14;
	int in = -1, out;
	int64_t deadline;

	if (argc < 7) {
		fprintf(stderr, "frame: wrong arguments\n");
		return 2;
	}
	read_mac(argv[5], frame);
	read_mac(argv[6], frame + 6);
	if (getenv("FRAME_GROUP"))
		used += put_packet(frame);
	/* Another frame each time. */
	snprintf((char *)frame + used, FRAME_SIZE - used, "%d %lld", (int)getpid(),
		(long long)now_ms());
	if (strcmp(argv[4], "-") != 0)
		in = packet_socket(argv[3], argv[4], ETH_P_ALL);
	out = packet_socket(argv[1], argv[2], 0);
	deadline = now_ms() + (argc > 7 ? atoi(argv[7]) : LIMIT_MS);
	if (send(out, frame, sizeof(frame), 0) != sizeof(frame))
		die("send");
	return in < 0 ? 0 : wait_for(in, frame, deadline);
}
