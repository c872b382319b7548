/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe ADDRESS INTERVAL_MS: send ICMP echoes until SIGTERM or SIGINT, then print
 * what was lost as one JSON object.
 *
 * Theory of operation: each echo carries a 64-bit number and the number of this run,
 * so that neither the 16-bit ICMP sequence nor another prober matters.  An echo
 * counts as answered if its reply came within a second of its sending; replies that came
 * later are counted in "late": not the way to the guest was interrupted then, but the guest
 * stood still.  An outage is a row of lost echoes, measured between the send times of the last echo answered
 * before it and the first answered after it; rows no longer than three intervals are
 * counted in "lost" only.  Echoes the prober sent late are not made up for, and the
 * longest gap between two of them is reported: nothing can be said about that time.
 *
 * Every echo confirms the neighbour entry of the target, so that an outage measures
 * the delivery of frames and not the pace of ARP retries.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPLY_LIMIT_NS 1000000000LL
#define MAGIC 0x6c61622d70726f62ULL

struct echo {
	long long sent_ns; /* monotonic */
	long long sent_epoch_ns;
	int is_answered, is_late;
};

struct payload {
	uint64_t magic;
	uint64_t run;
	uint64_t number;
};

struct outage {
	long long start_epoch_ns;
	long long length_ns;
};

static volatile sig_atomic_t is_ending;

static void end(int sig)
{
	(void)sig;
	is_ending = 1;
}

static long long clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static uint16_t checksum(const void *data, size_t len)
{
	const uint16_t *at = data;
	uint32_t sum = 0;

	for (; len > 1; len -= 2)
		sum += *at++;
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	return ~sum;
}

/* Take every reply that waits.  rtt_max_ns grows. */
static void take_replies(
	int fd, uint64_t run, struct echo *echo, size_t count, long long *rtt_max_ns)
{
	unsigned char buf[2048];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		size_t ip_len = (buf[0] & 0xf) * 4;
		struct icmphdr icmp;
		struct payload p;
		long long rtt_ns;

		if ((size_t)n < ip_len + sizeof(icmp) + sizeof(p))
			continue;
		memcpy(&icmp, buf + ip_len, sizeof(icmp));
		memcpy(&p, buf + ip_len + sizeof(icmp), sizeof(p));
		if (icmp.type != ICMP_ECHOREPLY || p.magic != MAGIC || p.run != run ||
			p.number >= count)
			continue;
		rtt_ns = clock_ns(CLOCK_MONOTONIC) - echo[p.number].sent_ns;
		if (rtt_ns > REPLY_LIMIT_NS) {
			echo[p.number].is_late = 1;
			continue;
		}
		if (rtt_ns > *rtt_max_ns)
			*rtt_max_ns = rtt_ns;
		echo[p.number].is_answered = 1;
	}
}

static void print_report(const char *target, const struct echo *echo, size_t count,
	long long interval_ns, long long rtt_max_ns)
{
	struct outage longest = { 0 };
	long long total_ns = 0;
	long long gap_max_ns = 0;
	size_t lost = 0, late = 0;
	int is_first = 1;

	for (size_t i = 0; i < count; i++) {
		lost += !echo[i].is_answered;
		late += echo[i].is_late;
		if (i > 0 && echo[i].sent_ns - echo[i - 1].sent_ns > gap_max_ns)
			gap_max_ns = echo[i].sent_ns - echo[i - 1].sent_ns;
	}
	printf("{\"target\":\"%s\",\"sent\":%zu,\"lost\":%zu,\"late\":%zu,\"interval_ms\":%lld",
		target, count, lost, late, interval_ns / 1000000);
	printf(",\"start\":%.3f,\"end\":%.3f,\"outages\":[",
		count ? echo[0].sent_epoch_ns / 1e9 : 0.0,
		count ? echo[count - 1].sent_epoch_ns / 1e9 : 0.0);
	for (size_t i = 0; i < count; i++) {
		struct outage o;
		size_t from = i ? i - 1 : 0;
		long long until_ns;

		if (echo[i].is_answered)
			continue;
		while (i < count && !echo[i].is_answered)
			i++;
		until_ns =
			i < count ? echo[i].sent_ns : echo[count - 1].sent_ns + interval_ns;
		o.start_epoch_ns = echo[from].sent_epoch_ns;
		o.length_ns = until_ns - echo[from].sent_ns;
		if (o.length_ns <= 3 * interval_ns)
			continue;
		printf("%s{\"start\":%.3f,\"ms\":%lld}", is_first ? "" : ",",
			o.start_epoch_ns / 1e9, o.length_ns / 1000000);
		is_first = 0;
		total_ns += o.length_ns;
		if (o.length_ns > longest.length_ns)
			longest = o;
	}
	printf("],\"longest_ms\":%lld,\"total_ms\":%lld,\"rtt_max_ms\":%lld"
	       ",\"send_gap_max_ms\":%lld}\n",
		longest.length_ns / 1000000, total_ns / 1000000, rtt_max_ns / 1000000,
		gap_max_ns / 1000000);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct sigaction sa = { .sa_handler = end };
	struct echo *echo = NULL;
	size_t count = 0;
	size_t room = 0;
	long long interval_ns;
	long long next_ns;
	long long rtt_max_ns = 0;
	uint64_t run = clock_ns(CLOCK_REALTIME) ^ ((uint64_t)getpid() << 40);
	int fd;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 ||
		(interval_ns = atoll(argv[2]) * 1000000LL) <= 0) {
		fprintf(stderr, "usage: probe ADDRESS INTERVAL_MS\n");
		return 2;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGHUP, SIG_IGN);
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (fd < 0) {
		perror("probe: socket");
		return 1;
	}

	next_ns = clock_ns(CLOCK_MONOTONIC);
	while (!is_ending) {
		struct {
			struct icmphdr icmp;
			struct payload p;
		} packet = { .icmp = { .type = ICMP_ECHO } };
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		long long now_ns;

		while (!is_ending && (now_ns = clock_ns(CLOCK_MONOTONIC)) < next_ns) {
			struct timespec wait = { .tv_nsec = next_ns - now_ns };

			if (wait.tv_nsec >= 1000000000L) {
				wait.tv_sec = wait.tv_nsec / 1000000000L;
				wait.tv_nsec %= 1000000000L;
			}
			if (ppoll(&pfd, 1, &wait, NULL) > 0)
				take_replies(fd, run, echo, count, &rtt_max_ns);
		}
		if (is_ending)
			break;
		if (count == room) {
			room = room ? 2 * room : 4096;
			echo = realloc(echo, room * sizeof(*echo));
			if (!echo) {
				perror("probe");
				return 1;
			}
		}
		packet.icmp.un.echo.id = htons(getpid() & 0xffff);
		packet.icmp.un.echo.sequence = htons(count & 0xffff);
		packet.p = (struct payload){ MAGIC, run, count };
		packet.icmp.checksum = checksum(&packet, sizeof(packet));
		echo[count].sent_ns = clock_ns(CLOCK_MONOTONIC);
		echo[count].sent_epoch_ns = clock_ns(CLOCK_REALTIME);
		echo[count].is_answered = echo[count].is_late = 0;
		count++;
		/* an echo that cannot even be sent is a lost one */
		sendto(fd, &packet, sizeof(packet), MSG_CONFIRM | MSG_DONTWAIT,
			(struct sockaddr *)&to, sizeof(to));
		next_ns += interval_ns;
		now_ns = clock_ns(CLOCK_MONOTONIC);
		if (next_ns < now_ns)
			next_ns = now_ns;
		take_replies(fd, run, echo, count, &rtt_max_ns);
	}

	/* the last echoes have their second, too */
	next_ns = clock_ns(CLOCK_MONOTONIC) + REPLY_LIMIT_NS;
	while (clock_ns(CLOCK_MONOTONIC) < next_ns) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };

		if (count == 0 || echo[count - 1].is_answered)
			break;
		poll(&pfd, 1, 50);
		take_replies(fd, run, echo, count, &rtt_max_ns);
	}
	print_report(argv[1], echo, count, interval_ns, rtt_max_ns);
	free(echo);
	return 0;
}
