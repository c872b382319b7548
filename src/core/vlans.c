/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/vlans.h"

#include <stdlib.h>
#include <string.h>

#include "util/str.h"

char *vlans_format(const struct vlan_list *l)
{
	struct str_buf text = { 0 };
	size_t next;

	str_buf_add(&text, "%s", "");
	for (size_t i = 0; i < l->n; i = next) {
		const struct port_vlan *first = &l->v[i], *last = first;

		for (next = i + 1; next < l->n; next++) {
			const struct port_vlan *v = &l->v[next];

			if (v->vid != last->vid + 1 || v->pvid != first->pvid ||
				v->untagged != first->untagged || !first->vid)
				break;
			last = v;
		}
		if (!first->vid)
			continue;
		str_buf_add(&text, "%s%u", text.len ? " " : "", first->vid);
		if (last != first)
			str_buf_add(&text, "-%u", last->vid);
		str_buf_add(&text, "%s%s", first->pvid ? "p" : "", first->untagged ? "u" : "");
	}
	return text.s;
}

struct range {
	int64_t first, last;
	bool pvid, untagged;
};

/* Takes the next one off *REST. */
static bool next_range(const char **rest, struct range *ret)
{
	char *end;

	ret->first = ret->last = strtol(*rest, &end, 10);
	if (end == *rest)
		return false;
	if (*end == '-')
		ret->last = strtol(end + 1, &end, 10);
	ret->pvid = *end == 'p';
	end += ret->pvid;
	ret->untagged = *end == 'u';
	end += ret->untagged;
	*rest = end;
	return true;
}

int64_t vlans_pvid(const char *vlans)
{
	struct range r;

	while (vlans && next_range(&vlans, &r))
		if (r.pvid)
			return r.first;
	return 0;
}

bool vlans_have(const char *vlans, int64_t vid, bool *ret_untagged)
{
	struct range r;

	while (vlans && next_range(&vlans, &r)) {
		if (vid < r.first || vid > r.last)
			continue;
		*ret_untagged = r.untagged;
		return true;
	}
	return false;
}
