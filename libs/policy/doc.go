// Package policy is the decision engine: YAML rules with CEL conditions,
// compiled once, evaluated in microseconds. It does no I/O.
//
// # How a command is decided
//
// A rule matches when its targets or environments, one of its principals, and
// its condition match. Of all matching rules, deny beats hold beats allow;
// where none matches, the answer is deny. Among matching rules of the deciding
// effect the first by name is the deciding rule; among hold rules it is the
// one that asks for most approvers, then the first by name (Check warns where
// hold rules overlap, since the demands of the others are not added up).
// Obligations do add up over all matching allow and hold rules: a reason is
// required if any asks for it, and the lowest row limit counts.
//
// # What is not known
//
// A fact that could not be established (command.Facts.Unknown) is a CEL
// unknown, and so is a condition that fails at run time. An allow rule whose
// condition comes out unknown does not match; a deny or hold rule does. A
// command whose class is unknown has no known objects, columns or filters
// either: who cannot say what a command does cannot say what it touches.
//
// command.comparisons says how columns are used where their values decide
// something, each as {"column": "public.customers.email", "kind": "pattern"};
// the kinds are those of command.Use.
//
// # What may only restrict
//
// Two things never widen what a principal may do:
//
//   - A principal's field that the caller merely said (Principal.Asserted), and
//     a session's reason, which anybody can type. An allow rule sees them as
//     unknown. A deny or hold rule matches if it does with what was said, or as
//     if nothing had been said; a hold that matches only because of what was
//     said turns an allow into a hold, never a deny into one.
//   - A selector that names a repository without its ids. An allow rule with it
//     matches nothing; a deny or hold rule goes by the name, and such a hold, too,
//     only turns an allow into a hold. Pin the ids with "gatestay policy pin".
//
// # A client's own preamble
//
// Session commands (BEGIN, SET, SHOW) and reads of the system catalog are
// allowed under every rule through which the principal reaches the target
// (Reaches), whatever that rule's condition says of commands. Rules about
// commands do not see them, unless the condition speaks of what they are made
// of: command.catalog, command.functions, command.transaction, the class
// "session", one of its verbs ("set", "show", "commit"), or a system catalog by
// name ("pg_catalog.pg_authid"). A deny rule whose condition does not look at
// the command applies to them as to everything else.
package policy
