package approval_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	approvals "github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// decisions returns all decisions on the stream for an approval.
func (w *world) decisions(r *request) []*eventv1.Signed {
	w.t.Helper()
	var out []*eventv1.Signed
	for _, raw := range w.read(bus.StreamApprovals, bus.ApprovalSubject(gateway, r.Id, bus.Decided)) {
		s := &eventv1.Signed{}
		if err := proto.Unmarshal(raw, s); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// read returns all messages of a subject.
func (w *world) read(stream, subject string) [][]byte {
	w.t.Helper()
	s, err := w.bus.JS.Stream(w.t.Context(), stream)
	if err != nil {
		w.t.Fatal(err)
	}
	var out [][]byte
	for seq := uint64(1); ; {
		m, err := s.GetMsg(w.t.Context(), seq, jetstream.WithGetMsgSubject(subject))
		if err != nil {
			return out
		}
		out = append(out, m.Data)
		seq = m.Sequence + 1
	}
}

// decided waits for the decision and verifies it as the gateway does.
func (w *world) decided(r *request) (*eventv1.ApprovalDecision, error) {
	w.t.Helper()
	until(w.t, "decision", func() bool { return len(w.decisions(r)) > 0 })
	return w.verify(r, w.decisions(r)[0])
}

func (w *world) verify(r *request, s *eventv1.Signed) (*eventv1.ApprovalDecision, error) {
	w.t.Helper()
	return approvals.Verify(w.trust(), s, approvals.Expectation{
		ApprovalID: r.Id, Gateway: gateway, Session: r.SessionId, Command: r.CommandId, Principal: r.Principal, Target: r.Target,
		RuleHash: r.RuleHash, Digest: r.Digest, RequestHash: approvals.RequestHash(r.raw), Count: r.Approvers.GetCount(), Now: time.Now(),
		Electorate: func() *electorate.Electorate {
			return &electorate.Electorate{Approvers: r.Approvers, Requesters: r.Requesters, People: w.engine.People()}
		},
	})
}

func (w *world) trust() seal.Trust {
	w.t.Helper()
	trust, err := seal.LoadTrust(filepath.Join(w.dir, "approval.pub"))
	if err != nil {
		w.t.Fatal(err)
	}
	return trust
}

// steps returns the approval's recorded steps after verifying their chain:
// numbers without gap or repetition, hashes, signatures.
func (w *world) steps(r *request) []*eventv1.Record {
	w.t.Helper()
	var out []*eventv1.Record
	var previous []byte
	number := uint64(0)
	for _, raw := range w.read(bus.StreamAdmin, bus.AdminSubject("approval", "steps")) {
		b := &eventv1.Batch{}
		if err := proto.Unmarshal(raw, b); err != nil {
			w.t.Fatal(err)
		}
		if b.Incarnation != r.Id {
			continue
		}
		if err := event.Verify(b, w.trust()); err != nil {
			w.t.Fatal(err)
		}
		if number++; b.Number != number || !bytes.Equal(b.PreviousHash, previous) {
			w.t.Fatalf("batch %d of %s where %d was expected", b.Number, r.Id, number)
		}
		previous = b.Hash
		out = append(out, b.Records...)
	}
	return out
}

// recorded waits for the steps, in words.
func (w *world) recorded(r *request, want ...string) []*eventv1.Record {
	w.t.Helper()
	var got []string
	var steps []*eventv1.Record
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got, steps = nil, w.steps(r)
		for _, s := range steps {
			got = append(got, strings.TrimSpace(s.Action+" "+s.Outcome))
		}
		if strings.Join(got, ", ") == strings.Join(want, ", ") {
			return steps
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("steps %q, want %q", got, want)
		}
		<-tick.C
	}
}

// findings returns the actions of recorded findings.
func (w *world) findings() []string {
	var out []string
	for _, raw := range w.read(bus.StreamAdmin, bus.AdminSubject("approval", "1")) {
		b := &eventv1.Batch{}
		if err := proto.Unmarshal(raw, b); err != nil {
			w.t.Fatal(err)
		}
		for _, r := range b.Records {
			if r.Kind == eventv1.Kind_KIND_FINDING {
				out = append(out, r.Action)
			}
		}
	}
	return out
}

// ask calls the API as an account and decodes the answer.
func (r *replica) ask(method, path, account, body string, into any) int {
	r.w.t.Helper()
	q, err := http.NewRequestWithContext(r.w.t.Context(), method, "http://"+r.service.Addr()+path, strings.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	q.Header.Set("Test-Account", account)
	q.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			r.w.t.Fatalf("%s: %v", raw, err)
		}
	}
	return response.StatusCode
}

// vote votes by the API and returns the status and the refusal's code.
func (r *replica) vote(q *request, account, vote string) (int, string) {
	r.w.t.Helper()
	var answer struct{ Code string }
	status := r.ask(http.MethodPost, "/v1/approvals/"+q.Id+"/vote", account, fmt.Sprintf(`{"vote":%q,"reason":"from a test"}`, vote), &answer)
	return status, answer.Code
}
