// Package regress runs PostgreSQL's own regression suite twice, against a server
// and through the gateway to another server, and compares what psql printed.
//
// The suite is that of Debian's source package (.ci/regress-source brings it);
// the servers may be newer than it. That does not matter: it is not the server
// that is tested, so what the suite's authors expected is not looked at. What
// counts is that a client cannot tell the two runs apart, but for what
// differences.txt lists: statements that the gateway refuses on purpose, and
// what follows from their refusal.
package regress
