/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory: allocation that never fails (it aborts), cleanup attributes, ownership transfer.
 *
 * Aborting when memory runs out is safe here for the reason that being killed is safe:
 * every step of a migration can be settled by somebody else afterwards.
 */
#ifndef UTIL_MEM_H
#define UTIL_MEM_H

#include <stdlib.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(mem_cleanup_free)
#define CLEANUP_CLOSE CLEANUP(mem_cleanup_close)

/* Hands a pointer out of a variable that would otherwise be cleaned up. */
#define TAKE_PTR(p) \
	({ \
		__typeof__(p) *take_pp_ = &(p); \
		__typeof__(p) take_p_ = *take_pp_; \
		*take_pp_ = NULL; \
		take_p_; \
	})

/* The same for a descriptor. */
#define TAKE_FD(fd) \
	({ \
		int *take_pfd_ = &(fd); \
		int take_fd_ = *take_pfd_; \
		*take_pfd_ = -1; \
		take_fd_; \
	})

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Zeroed memory; never NULL. Free with free(). */
void *mem_new(size_t size);
/* reallocarray() that never fails. */
void *mem_grow(void *old, size_t n, size_t size);
/* Appends one zeroed element to the array *V of *N elements, returns its address. */
void *mem_append(void *v, size_t *n, size_t size);

void mem_cleanup_free(void *pp);
void mem_cleanup_close(int *fd);

#endif
