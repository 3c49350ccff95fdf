// Package postgres is the gateway's PostgreSQL: clients speak protocol 3.0 or
// 3.2 with it as with a server, and it speaks to the target with the target's own
// credential. In between, each statement is decided, held, masked and recorded
// behind the seam. The package knows nothing of policies, the bus or people.
//
// # The start of a session
//
// negotiate.go settles encryption, settings.go and options.go what the client
// may bring, login.go and bearer.go its token, upstream_login.go and
// upstream_tls.go what the gateway says to whom on the other side. Each side has
// a version of the protocol and a cancel key of its own: the keyring knows which
// session a key is for, and the target's never leaves the gateway.
//
// # The way of a message
//
// A session has two goroutines. One (client.go) takes what the client sends,
// decides it and forwards it; the other (server.go of the upstream side:
// answer.go) takes what the target answers and forwards that. Between them is
// the pipeline: what was forwarded and is not yet answered, in order. Both
// protocols, simple and extended, are the same to it.
//
// # A refusal keeps the connection in step
//
// A refused message is not answered by the gateway on its own, since the
// target may still be answering earlier ones. In its place goes a marker, a
// text that no parser takes, and the target's syntax error for it is replaced
// by the refusal. So the refusal comes in its order, the target discards the
// rest of a pipeline up to Sync and fails an open transaction, exactly as after
// an error of its own, and both sides agree on where they are. The refused text
// never reaches the target.
//
// # When a command is decided
//
// A Query is decided whole before any of it is forwarded, each of its
// statements as a command of its own. In the extended protocol a command is a
// statement with its parameters, so it is decided at Bind; Bind is not
// forwarded before, since planning may already run functions. Parse is checked
// too, so that what no parameter can save is refused early.
//
// A FunctionCall names its function by OID. The catalog says which that is, and
// it is decided as the SELECT that would call it (function.go).
//
// # State is asked
//
// Names mean what the session's search_path, role and settings make of them.
// The gateway does not simulate these: after any statement that is not proved
// neutral it asks the target, on the same session, before it decides again.
package postgres
