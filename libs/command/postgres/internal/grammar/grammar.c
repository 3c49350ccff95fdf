/*
 * raw_parser of PostgreSQL, called as pg_query_parse_protobuf calls it, save
 * that standard error is left alone. See the package comment.
 *
 * The symbols are libpg_query's. They are weak here, since this file is linked
 * once without them, by cgo itself.
 */
#include "grammar.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WEAK __attribute__((weak))

typedef struct { size_t len; char *data; } protobuf;

/* ErrorData of PostgreSQL 17, as far as cursorpos. */
typedef struct {
	int elevel;
	bool output_to_server, output_to_client, hide_stmt, hide_ctx;
	const char *filename;
	int lineno;
	const char *funcname, *domain, *context_domain;
	int sqlerrcode;
	char *message, *detail, *detail_log, *hint, *context, *backtrace;
	const char *message_id;
	char *schema_name, *table_name, *column_name, *datatype_name, *constraint_name;
	int cursorpos;
} error_data;

extern void *pg_query_enter_memory_context(void) WEAK;
extern void pg_query_exit_memory_context(void *) WEAK;
extern protobuf pg_query_nodes_to_protobuf(const void *) WEAK;
extern void *raw_parser(const char *, int) WEAK;
extern error_data *CopyErrorData(void) WEAK;
extern void FlushErrorState(void) WEAK;
extern __thread void *CurrentMemoryContext WEAK;
extern __thread sigjmp_buf *PG_exception_stack WEAK;
extern __thread void *error_context_stack WEAK;

gatestay_tree gatestay_parse(const char *sql)
{
	gatestay_tree out = {0};
	sigjmp_buf here;
	sigjmp_buf *outer = PG_exception_stack;
	void *outer_context = error_context_stack;
	void *memory = pg_query_enter_memory_context();

	if (sigsetjmp(here, 0) == 0) {
		protobuf p;
		PG_exception_stack = &here;
		p = pg_query_nodes_to_protobuf(raw_parser(sql, 0));
		PG_exception_stack = outer;
		out.data = p.data;
		out.len = p.len;
	} else {
		error_data *e;
		PG_exception_stack = outer;
		error_context_stack = outer_context;
		CurrentMemoryContext = memory;
		e = CopyErrorData();
		out.message = strdup(e->message != NULL ? e->message : "");
		out.cursor = e->cursorpos;
		FlushErrorState();
	}
	pg_query_exit_memory_context(memory);
	return out;
}
