/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt's typed parameters, in memory as its own are.
 */
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define EXPORT __attribute__((visibility("default")))

static virTypedParameterPtr add(virTypedParameterPtr *params, int *n, int *max, const char *name,
	int type)
{
	virTypedParameterPtr p;

	if (*n == *max) {
		*max = *max ? 2 * *max : 4;
		*params = realloc(*params, (size_t)*max * sizeof(**params));
		if (!*params)
			abort();
	}
	p = &(*params)[(*n)++];
	memset(p, 0, sizeof(*p));
	snprintf(p->field, sizeof(p->field), "%s", name);
	p->type = type;
	return p;
}

EXPORT int virTypedParamsAddInt(virTypedParameterPtr *params, int *nparams, int *maxparams,
	const char *name, int value)
{
	add(params, nparams, maxparams, name, VIR_TYPED_PARAM_INT)->value.i = value;
	return 0;
}

EXPORT int virTypedParamsAddULLong(virTypedParameterPtr *params, int *nparams, int *maxparams,
	const char *name, unsigned long long value)
{
	add(params, nparams, maxparams, name, VIR_TYPED_PARAM_ULLONG)->value.ul = value;
	return 0;
}

EXPORT int virTypedParamsAddString(virTypedParameterPtr *params, int *nparams, int *maxparams,
	const char *name, const char *value)
{
	add(params, nparams, maxparams, name, VIR_TYPED_PARAM_STRING)->value.s = text("%s", value);
	return 0;
}

EXPORT void virTypedParamsFree(virTypedParameterPtr params, int nparams)
{
	for (int i = 0; i < nparams; i++)
		if (params[i].type == VIR_TYPED_PARAM_STRING)
			free(params[i].value.s);
	free(params);
}

/* 1: found; 0: there is none; -1: of another type. */
static int get(virTypedParameterPtr params, int n, const char *name, int type,
	virTypedParameterPtr *found)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(params[i].field, name) != 0)
			continue;
		if (params[i].type != type)
			return fail(VIR_ERR_INVALID_ARG, "parameter %s has another type", name);
		*found = &params[i];
		return 1;
	}
	return 0;
}

EXPORT int virTypedParamsGetInt(virTypedParameterPtr params, int nparams, const char *name,
	int *value)
{
	virTypedParameterPtr p = NULL;
	int ret = get(params, nparams, name, VIR_TYPED_PARAM_INT, &p);

	if (p)
		*value = p->value.i;
	return ret;
}

EXPORT int virTypedParamsGetULLong(virTypedParameterPtr params, int nparams, const char *name,
	unsigned long long *value)
{
	virTypedParameterPtr p = NULL;
	int ret = get(params, nparams, name, VIR_TYPED_PARAM_ULLONG, &p);

	if (p)
		*value = p->value.ul;
	return ret;
}
