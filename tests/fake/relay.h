/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAKE_RELAY_H
#define FAKE_RELAY_H

/* Runs ARGV with its three standard files passed on; returns its exit status. */
int relay(char **argv);

#endif
