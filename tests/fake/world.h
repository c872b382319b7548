/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two pretended hosts, kept as files below $FAKE_DIR, one directory for each host. Every process
 * of either host works on these files: the program under test with the preloaded library, and
 * the helper program "fake-host" that plays libvirt's daemons, QEMU and the guest. Nothing
 * lives in a process only, so any of them may be killed, as in life.
 *
 *   alive                 removed at the end of a test: whoever is left goes away
 *   lock                  one lock for all of it
 *   log                   each call and each effect, in order
 *   set/KEY, set/HOST.KEY settings, see world_number
 *   faults                lines "HOST CALL NTH ACTION", see world_call
 *   struck                is there once one of the faults has happened
 *   pids                  lines "HOST ROLE PID", of each process of the program
 *   hooks/NAME            executables, run at named instants, see world_hook
 *   HOST/pid              a process in the host's namespaces
 *   HOST/names            what others call the host, one name a line
 *   HOST/uuid             of the host
 *   HOST/events           libvirt's events, one a line
 *   HOST/domains/UUID/    name, state, live.xml, inactive.xml, autostart, job, …
 *   HOST/networks/NAME    network XML
 *   HOST/sys              mounted over /sys there
 *   HOST/vf/PF/INDEX      the VF's attributes
 */
#ifndef FAKE_WORLD_H
#define FAKE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEANUP_TEXT __attribute__((cleanup(world_free_text)))
#define CLEANUP_LOCK __attribute__((cleanup(world_unlock)))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* What went wrong last in this thread; CODE is libvirt's (virErrorNumber). */
struct failure {
	int code;
	char message[1024];
};

extern __thread struct failure failure;
/* Both return -1. The message gets libvirt's words for the code in front. */
int fail(int code, const char *fmt, ...) PRINTF(2, 3);
/* Takes a message as it comes from elsewhere, words included. */
int fail_as_is(int code, const char *message);

void world_free_text(char **s);
char *text(const char *fmt, ...) PRINTF(1, 2); /* caller frees */

const char *world_dir(void);
const char *world_host(void); /* the one this process is on */
/* The host that others call NAME; NULL: unknown. Caller frees. */
char *world_host_by_name(const char *name);

/* Below world_dir(); caller frees. */
char *world_path(const char *fmt, ...) PRINTF(1, 2);
char *world_read(const char *path); /* NULL: no such file; caller frees */
void world_write(const char *path, const char *content);
void world_append(const char *path, const char *line);

/* Held for moments only; may be taken again by the same thread. */
int world_lock(void);
void world_unlock(int *lock);
/* In a child: the lock its parent holds is not its own. */
void world_forget_lock(void);

/* A setting: of the host if it is made for it, else of the world, else MISSING. */
long world_number(const char *host, const char *key, long missing);
char *world_text(const char *host, const char *key, const char *missing); /* caller frees */
bool world_is(const char *host, const char *key, const char *value);
bool world_is_alive(void);

void world_log(const char *host, const char *fmt, ...) PRINTF(2, 3);
void world_event(const char *host, const char *uuid, const char *fmt, ...) PRINTF(3, 4);
/* Notes the instant, runs hooks/NAME, if there is one, and waits for it. */
void world_hook(const char *name);

/*
 * Notes a call in the log, and does what the file of faults says about it: for HOST (or *), CALL
 * (or *) and the NTH time (or *)
 *   error[:CODE]        fail, without effect
 *   late-error[:CODE]   have the effect, then fail (see *ret_late)
 *   hang[:MS]           wait first, for good or for so long
 *   stuck               wait first until there is a file "released"
 *   kill                this process dies here
 *   hook:NAME           run a hook first
 * -1 when the call has to fail. With the setting "then-fail", once a fault has struck, the first
 * call of each kind that changes something fails on each host: whoever undoes meets errors.
 */
int world_call(const char *call, int *ret_late, const char *fmt, ...) PRINTF(3, 4);

/* A fault has happened. */
void world_strike(void);

int64_t now_ms(void);
void sleep_ms(long ms);

/*
 * Starts "fake-host ARGV…" in the background, with no file of this process but KEEP_FD (as
 * descriptor 3; -1: none), which goes on when this process is killed.
 */
void world_spawn(char *const argv[], int keep_fd);

#endif
