/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/kmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/mem.h"
#include "util/str.h"

enum { RECORD_SIZE = 8192 };

/*
 * In the words of Linux 6.12: igb_set_vf_mac_filter in igb_main.c and ixgbe_set_vf_macvlan_msg in
 * ixgbe_sriov.c (the first two), i40e_check_vf_permission in i40e_virtchnl_pf.c, and the like in
 * ice (the next two).
 */
static const char *const of_pf[] = {
	"administratively denied",
	"no space for it",
	"add more MAC addresses",
	"override administratively set",
};

/* A VF's own driver: igbvf_set_uni names no device, iavf_virtchnl_completion its own. */
static const char *const of_vf[] = {
	"Too many unicast filters",
	"Failed to add MAC filter",
};

static bool has_one_of(const char *line, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

/* "VF 3 …" and "VF-3 …"; a line that names none is about any. */
static bool is_of_vf(const char *line, int vf)
{
	for (const char *s = strstr(line, "VF"); s; s = strstr(s + 1, "VF")) {
		char *end;
		long number;

		if (s[2] != ' ' && s[2] != '-')
			continue;
		number = strtol(s + 3, &end, 10);
		if (end != s + 3)
			return number == vf;
	}
	return true;
}

bool kmsg_is_complaint(const char *line, const struct kmsg_about *about)
{
	if (has_one_of(line, of_vf, ARRAY_SIZE(of_vf)))
		return true;
	return has_one_of(line, of_pf, ARRAY_SIZE(of_pf)) && strstr(line, about->pf_address) &&
	       is_of_vf(line, about->vf);
}

int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && lseek(fd, 0, SEEK_END) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * One read gives one record, "LEVEL,NUMBER,TIME,FLAGS;TEXT", and what belongs to it on more
 * lines.
 */
static char *find_in(char *text, const struct kmsg_about *about)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *message = strchr(line, ';');

		if (line[0] != ' ' && message && kmsg_is_complaint(message + 1, about))
			return str_dup(message + 1);
	}
	return NULL;
}

char *kmsg_find_complaint(int fd, const struct kmsg_about *about)
{
	char text[RECORD_SIZE];
	char *found = NULL;

	while (fd >= 0 && !found) {
		ssize_t n = read(fd, text, sizeof(text) - 1);

		/* EPIPE: records that were overwritten meanwhile; the next one follows. */
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		text[n] = '\0';
		found = find_in(text, about);
	}
	return found;
}
