/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What counts as a PF driver's complaint about an uplink. */
#include "net/kmsg.h"
#include "tap.h"

static void complains(const char *line, int vf, bool wanted, const char *what)
{
	struct kmsg_about about = { .pf_address = "0000:3b:00.0", .pf = "pf0", .vf = vf };

	ok(kmsg_is_complaint(line, &about) == wanted, "%s", what);
}

int main(void)
{
	complains("igb 0000:3b:00.0: VF 2 requested MAC filter but is administratively denied", 2,
		true, "igb: denied");
	complains("igb 0000:3b:00.0: VF 2 has requested MAC filter but there is no space for it", 2,
		true, "igb: no space");
	complains("igb 0000:3b:00.0: VF 12 requested MAC filter but is administratively denied", 2,
		false, "igb: of another VF");
	complains("igb 0000:3b:00.1: VF 2 requested MAC filter but is administratively denied", 2,
		false, "igb: of another PF");
	complains("ixgbe 0000:3b:00.0 pf0: VF 0 requested MACVLAN filter but is administratively "
		  "denied",
		0, true, "ixgbe: denied");
	complains(
		"i40e 0000:3b:00.0: Cannot add more MAC addresses, VF is not trusted, switch the VF "
		"to trusted to add more functionality",
		1, true, "i40e: says of no VF in particular");
	complains(
		"i40e 0000:3b:00.0: VF attempting to override administratively set MAC address, bring "
		"down and up the VF interface to resume normal operation",
		1, true, "i40e: an administrator's MAC");
	complains("iavf 0000:3b:02.1: Failed to add MAC filter, error IAVF_ERR_NVM", 1, true,
		"iavf: names its own device");
	complains("igbvf: Too many unicast filters - No Space", 1, true, "igbvf: names no device");
	complains("igb 0000:3b:00.0: VF 2 attempted to set invalid MAC filter", 2, false,
		"the filter that is not cleared is no refusal");
	complains("audit: 0000:3b:00.0 VF 2 login", 2, false, "something else");
	return tap_done();
}
