#ifndef GATESTAY_GRAMMAR_H
#define GATESTAY_GRAMMAR_H

#include <stddef.h>

typedef struct {
	char *data;      /* the tree as protobuf, malloc-ed; NULL on error */
	size_t len;
	char *message;   /* the error's, malloc-ed; NULL without one */
	int cursor;      /* its place, in characters from 1; 0 for none */
} gatestay_tree;

gatestay_tree gatestay_parse(const char *sql);

#endif
