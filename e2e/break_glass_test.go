package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatestay/gatestay/e2e/kit"
)

const glassPolicy = `rules:
  - name: rescue-updates
    effect: hold
    targets: [prod-db]
    principals: [{repository: acme/rescue, repository_id: "1031", repository_owner_id: "2002"}]
    when: command.class == "write"
    approvers: {slack_users: [` + kit.Dana + `]}
    hold: return
    break_glass: {for: 10m, uses: 5}
  - name: rescue-never
    effect: deny
    targets: [prod-db]
    principals: [{repository: acme/rescue, repository_id: "1031", repository_owner_id: "2002"}]
    when: command.class == "ddl"
`

var rescue = kit.Claims{"repository": "acme/rescue", "repository_id": "1031", "repository_owner_id": "2002", "run_id": "9310"}

// A job in an emergency passes at once; its approvers see each command in one
// message, the audit says what it was, and what is closed ends it.
func TestBreakGlass(t *testing.T) {
	g := shared.Get(t)
	withPolicy(t, g, "rescue.yaml", glassPolicy)
	const reason = "INC-2041: orders are stuck"
	run := func(statements ...string) (string, int) {
		t.Helper()
		args := []string{"run", kit.Target, "--break-glass", "--reason", reason, "--", "psql", "-XAt", "-v", "ON_ERROR_STOP=1"}
		for _, s := range statements {
			args = append(args, "-c", s)
		}
		_, stderr, code := gatestay(t, g, rescue, args...)
		return stderr, code
	}
	if _, stderr, code := gatestay(t, g, rescue, "run", kit.Target, "--break-glass", "--reason", "x", "--", "true"); code == 0 || !strings.Contains(stderr, "GS1306") {
		t.Fatalf("a reason that says nothing: exit status %d\n%s", code, stderr)
	}
	if _, stderr, code := gatestay(t, g, nil, "run", kit.Target, "--break-glass", "--reason", reason, "--", "true"); code == 0 || !strings.Contains(stderr, "GS1313") {
		t.Fatalf("another job: exit status %d\n%s", code, stderr)
	}
	first, second, third := kit.Marker("glass"), kit.Marker("glass"), kit.Marker("glass")
	insert := func(marker string) string {
		return "INSERT INTO notes (author, body) VALUES ('" + marker + "', 'from a test')"
	}
	stderr, code := run(insert(first), insert(second))
	if code != 0 || !strings.Contains(stderr, "break-glass apr_") {
		t.Fatalf("exit status %d\n%s", code, stderr)
	}
	id := approvalID.FindString(stderr)
	m := g.AwaitMessage(t, id)
	for _, want := range []string{"BREAK-GLASS on prod-db", "Nobody approved this", reason, "2 commands"} {
		m.Await(t, want)
	}
	g.AwaitRecord(t, "kind = 'intent' AND approval_id = '"+id+"' AND effect = 'allow' AND details['break_glass'] = '"+reason+"'", 2)
	if stderr, code := run("DROP TABLE notes"); code == 0 || !strings.Contains(stderr, "GS1201") {
		t.Errorf("what is denied: exit status %d\n%s", code, stderr)
	}
	token, err := g.Issuer.SignIn("dana", "gatestay-cli", "")
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.Health(kit.Approval)+"/v1/approvals/"+id+"/close", strings.NewReader(`{"verdict":"unjustified","note":"it was a drill"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", answer.Status, said)
	}
	m.Await(t, "Reviewed: not justified")
	g.AwaitRecord(t, "kind = 'approval' AND action = 'reviewed' AND approval_id = '"+id+"' AND actor = 'dana'", 1)
	if stderr, code := run(insert(third)); code == 0 || !strings.Contains(stderr, "GS1312") || !strings.Contains(stderr, "its review "+id+" was closed") {
		t.Errorf("after its review: exit status %d\n%s", code, stderr)
	}
}
