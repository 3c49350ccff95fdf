package approval

import "github.com/gatestay/gatestay/libs/service"

// page is what a browser sees at the service's address.
var page = service.Page{
	Name:  "Gatestay approvals",
	About: "Commands that wait for a human are decided in Slack, or from a terminal by those whom the rule names. This is the address that terminals ask.",
	Commands: [][2]string{
		{"gatestay login", "sign in as a person"},
		{"gatestay approvals list", "what waits for you"},
		{"gatestay approvals show apr_…", "one, whole: the statement, for whom, why"},
		{"gatestay approvals approve apr_…", "or deny; one person counts once, nobody approves what they asked for"},
	},
	Endpoints: [][2]string{
		{"GET /v1/approvals?state=waiting|decided|all", "approvals, newest first"},
		{"GET /v1/approvals/{id}", "one approval"},
		{"POST /v1/approvals/{id}/vote", `{"vote": "approve" or "deny", "reason": "…"}`},
		{"GET /healthz, /readyz, /metrics", "for operators, without a sign-in"},
	},
}
