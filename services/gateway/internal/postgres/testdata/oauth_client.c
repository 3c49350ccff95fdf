/* A client of PostgreSQL 18's libpq that has its token from the environment:
 *   oauth_client LIBPQ CONNINFO
 * It prints what it was told of where to get a token, then a row or the error.
 * The declarations are those of libpq-fe.h 18; the library is loaded by path. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef enum { PQAUTHDATA_PROMPT_OAUTH_DEVICE, PQAUTHDATA_OAUTH_BEARER_TOKEN } PGauthData;
typedef struct PGoauthBearerRequest {
	const char *openid_configuration;
	const char *scope;
	int (*async)(PGconn *conn, struct PGoauthBearerRequest *request, int *altsock);
	void (*cleanup)(PGconn *conn, struct PGoauthBearerRequest *request);
	char *token;
	void *user;
} PGoauthBearerRequest;
typedef int (*hook)(PGauthData type, PGconn *conn, void *data);

static int token(PGauthData type, PGconn *conn, void *data) {
	PGoauthBearerRequest *r = data;
	(void) conn;
	if (type != PQAUTHDATA_OAUTH_BEARER_TOKEN) return 0;
	printf("document %s scope %s\n", r->openid_configuration ? r->openid_configuration : "none", r->scope ? r->scope : "none");
	r->token = getenv("TOKEN");
	return 1;
}

int main(int argc, char **argv) {
	void *lib = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!lib) { printf("no libpq: %s\n", dlerror()); return 2; }
	void (*set)(hook) = dlsym(lib, "PQsetAuthDataHook");
	PGconn *(*connect)(const char *) = dlsym(lib, "PQconnectdb");
	int (*status)(const PGconn *) = dlsym(lib, "PQstatus");
	char *(*error)(const PGconn *) = dlsym(lib, "PQerrorMessage");
	PGresult *(*exec)(PGconn *, const char *) = dlsym(lib, "PQexec");
	char *(*value)(const PGresult *, int, int) = dlsym(lib, "PQgetvalue");
	void (*clear)(PGresult *) = dlsym(lib, "PQclear");
	void (*finish)(PGconn *) = dlsym(lib, "PQfinish");
	if (!set || !connect || !status || !error || !exec || !value || !clear || !finish) { printf("libpq is older than 18\n"); return 2; }
	set(token);
	PGconn *c = connect(argv[2]);
	int bad = status(c) != 0;
	if (bad) printf("error %s\n", error(c));
	else { PGresult *r = exec(c, "SELECT 'row'"); printf("%s\n", value(r, 0, 0)); clear(r); }
	finish(c);
	return bad;
}
