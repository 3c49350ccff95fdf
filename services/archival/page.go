package archival

import "github.com/gatestay/gatestay/libs/service"

// page is what a browser sees at the service's address.
var page = service.Page{
	Name:  "Gatestay audit",
	About: "Who did what, when and why. The records rest in ClickHouse; this is the address that auditors' terminals ask. Every look is itself on record.",
	Commands: [][2]string{
		{"gatestay login", "sign in as a person"},
		{"gatestay audit search --since 2h", "by principal, target, object, verdict, time or text"},
		{"gatestay audit show ses_…", "the story of one session"},
	},
	Endpoints: [][2]string{
		{"GET /v1/audit/search", "commands, newest first: principal, repository, target, object, verdict, text, since, until, limit, cursor"},
		{"GET /v1/audit/sessions/{id}", "one session: commands, votes, outcomes, and what is missing"},
		{"GET /healthz, /readyz, /metrics", "for operators, without a sign-in"},
	},
}
