// Package redteam names the classes of attack that must fail, and counts the
// tests that try them. A test belongs to a class by its name: TestRedteamNN_What
// is of class NN, wherever it lies: in e2e where it attacks the built binaries,
// beside the code where that is pure.
package redteam

// Class is one kind of attack.
type Class struct {
	Number int    `json:"number"`
	Area   string `json:"area"`
	Name   string `json:"name"`
}

// Classes are all classes, by number. A class without tests is `not yet`.
var Classes = []Class{
	{1, "identity", "forged tokens: none, confused algorithms, unknown keys, look-alike issuers"},
	{2, "identity", "tokens out of audience or time, replayed, re-spelled, unpinned names"},
	{3, "identity", "recreated repositories, fork pull requests, missing environments"},
	{4, "identity", "identity said by the client: headers, start-up parameters, other trust domains"},
	{5, "identity", "exhaustion before sign-in: silence, half packets, giants, slow bytes, crowds"},
	{6, "postgres", "statements hidden by batches, comments, quotes, escapes, encodings"},
	{7, "postgres", "writes dressed as reads: functions, CTEs, EXPLAIN, DO, triggers, views"},
	{8, "postgres", "COPY, large objects, the server's files, programs, locks and back ends"},
	{9, "postgres", "prepared, re-bound and pipelined commands around a decision"},
	{10, "postgres", "session state: roles, settings, search_path, shadowing, encodings"},
	{11, "postgres", "wire tricks: start-up, lengths, cancel keys, downgrades, steps lost"},
	{12, "postgres", "psql meta-commands through anything that executes"},
	{13, "masking", "masked columns through expressions, joins, views, copies and oracles"},
	{14, "masking", "formats, sizes, NULLs, split values, errors, notices, statistics"},
	{15, "masking", "secrets in commands, parameters, errors, logs; echoed credentials"},
	{16, "audit", "killed between any two steps; oversized events; log and terminal injection"},
	{17, "audit", "records changed, removed, reordered, forged, replayed, guessed back"},
	{18, "approval", "an approval outside its scope, count, time, rule or command"},
	{19, "approval", "self-approval, one person twice, approvers removed, guests"},
	{20, "approval", "clicks and decisions forged, replayed, unsigned, raced; foreign bus rights"},
	{21, "approval", "what the approver does not see; quorums, rehearsals and plans exceeded"},
	{22, "approval", "Slack or the approval service failing at each step; two replicas"},
	{23, "http", "request smuggling, path encodings, method overrides, upgrades, Host"},
	{24, "http", "bodies too large, compressed, ambiguous or of another type"},
	{25, "http", "redirects, forwarded credentials, moving names, inward addresses"},
	{26, "kubernetes", "exec by other verbs, node proxies, impersonation, dry runs"},
	{27, "mcp", "old versions, batches, changed tools, look-alike names, stolen sessions"},
	{28, "ssh", "offered keys, forwarding, environment, subsystems, piped shells, host keys"},
	{29, "identity", "SAML: signature wrapping, comments, round trips, replayed assertions"},
	{30, "identity", "exchange and binding: widened, moved, re-targeted, raced tokens"},
	{31, "identity", "webhooks that end sessions: unsigned, replayed, misdirected"},
	{32, "control", "administration without the role, hostile pages, stolen bus credentials, cut-off gateways"},
	{33, "control", "silence: rules, masks, targets, sinks and bundles that quietly do nothing"},
}
