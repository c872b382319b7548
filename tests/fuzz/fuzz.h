/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzzing target: a function that is given bytes of any kind, and aborts when the program
 * makes something of them that it must not. libFuzzer calls it with what it thinks up (make
 * fuzz), corpus.c with the files kept in corpus/NAME (make check).
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Folder of its inputs in corpus/. */
extern const char fuzz_name[];
/* Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, whatever the input. */
#define must(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				#condition); \
			abort(); \
		} \
	} while (0)

/* The input as text that ends with a NUL; in memory of its own, so that reading on is noticed. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	must(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
