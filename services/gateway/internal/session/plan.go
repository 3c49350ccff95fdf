package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/plan"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

const (
	maxSource  = 200     // characters
	maxScripts = 1 << 20 // bytes, of all
	maxSetting = 200     // bytes
)

// Planner reads scripts as a new session of a target would. It closes the
// session.
type Planner interface {
	Plan(ctx context.Context, s seam.Session, target, database string, settings map[string]string, scripts []seam.Script) ([]seam.Planned, error)
}

// Script is one text of a plan.
type Script struct {
	Source   string `json:"source"` // a file's name
	Text     string `json:"text"`
	Line     int    `json:"line"` // where the text begins in its source, from 1; 0 is 1
	Together bool   `json:"together"`
}

// PlanRequest asks for a plan.
type PlanRequest struct {
	Database string   `json:"database"` // empty for the target's default
	Tool     string   `json:"tool"`     // one of plan.Tools
	Scripts  []Script `json:"statements"`
	DryRun   bool     `json:"dry_run"` // nobody is asked
	// Settings are those that the tool's client begins its sessions with; each one
	// of planSettings.
	Settings map[string]string `json:"settings"`
}

// planSettings are what a client may bring that changes the meaning of a text, and
// nothing of what it may do.
var planSettings = []string{"TimeZone", "DateStyle", "IntervalStyle", "search_path"}

// PlanStep is one statement and what is done with it. The texts are as they came,
// but for what masks hide.
type PlanStep struct {
	Source      string   `json:"source"` // file:line
	Verb        string   `json:"verb"`
	Class       string   `json:"class"`
	Objects     []string `json:"objects"`
	Statement   string   `json:"statement"`
	Effect      string   `json:"effect"` // allow, hold, deny
	Rule        string   `json:"rule,omitempty"`
	Why         string   `json:"why,omitempty"`
	Warnings    []string `json:"warnings"`
	Radius      []string `json:"radius,omitempty"`      // what it would touch, in words
	Bookkeeping bool     `json:"bookkeeping,omitempty"` // the tool's own statement
}

// Plan is what is done with the statements of a plan, and the approval that they
// wait for, where there is one.
type Plan struct {
	ID        string     `json:"id,omitempty"` // empty where nobody was asked
	Target    string     `json:"target"`
	Database  string     `json:"database"`
	Tool      string     `json:"tool"`
	Steps     []PlanStep `json:"steps"`
	Keeping   []PlanStep `json:"bookkeeping"`
	Held      int        `json:"held"`
	Denied    int        `json:"denied"`
	Rules     []string   `json:"rules"`     // the hold rules that it falls under
	Approvers string     `json:"approvers"` // in words
	Deadline  *time.Time `json:"deadline,omitempty"`
	Life      int64      `json:"life"` // seconds from its approval
}

// Plan decides every statement of a plan and, where some are held and none is
// denied, asks for one approval of them all.
func (g *Gate) Plan(ctx context.Context, raw string, in PlanRequest, planner Planner, remote string) (*Plan, error) {
	g.setup()
	run, err := g.Runs.Lookup(raw)
	if err != nil {
		return nil, err
	}
	if err := in.problem(); err != nil {
		return nil, err
	}
	opened, err := g.Authenticate(ctx, seam.Credentials{Protocol: "postgres", Target: run.Target, Database: in.Database, Secret: raw, Remote: remote})
	if err != nil {
		return nil, err
	}
	s, ok := opened.(*Session)
	if !ok {
		return nil, errors.New("session: another kind of session")
	}
	scripts := make([]seam.Script, 0, len(in.Scripts))
	for _, t := range in.Scripts {
		scripts = append(scripts, seam.Script{Text: t.Text, Together: t.Together})
	}
	for _, sql := range plan.Keeping(in.Tool) {
		scripts = append(scripts, seam.Script{Text: sql})
	}
	list, err := planner.Plan(ctx, s, s.target, s.database, in.Settings, scripts)
	var unreadable *seam.Unreadable
	if errors.As(err, &unreadable) {
		return nil, in.unreadable(unreadable)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // a refusal, for the client
	}
	return s.plan(ctx, &in, list)
}

func (in *PlanRequest) problem() error {
	bytes := 0
	for _, t := range in.Scripts {
		bytes += len(t.Text)
	}
	refused := &refusal.Refusal{Code: refusal.ProtocolViolation}
	for name, value := range in.Settings {
		if !slices.Contains(planSettings, name) || len(value) > maxSetting {
			refused.Message, refused.Hint = fmt.Sprintf("setting %q cannot be planned with", name), "A plan may begin with "+strings.Join(planSettings, ", ")+"."
			return refused
		}
	}
	switch {
	case !slices.Contains(plan.Tools(), in.Tool):
		refused.Message, refused.Hint = fmt.Sprintf("tool %q is not known", in.Tool), "Known are "+strings.Join(plan.Tools(), ", ")+"."
	case bytes > maxScripts || len(in.Scripts) > approval.MaxSteps:
		return tooLarge(fmt.Sprintf("%d texts with %d bytes", len(in.Scripts), bytes))
	default:
		return nil
	}
	return refused
}

func tooLarge(what string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.LimitReached, Message: "this plan is too large for one approval: " + what,
		Detail: fmt.Sprintf("A plan has at most %d statements, and %d KiB of text as its approvers are shown it.", approval.MaxSteps, approval.MaxPlan>>10),
		Hint:   "Plan and run the migrations in several parts.",
	}
}

func (in *PlanRequest) unreadable(u *seam.Unreadable) error {
	r := &refusal.Refusal{Code: refusal.CommandUnknown, Message: "the plan cannot be read: " + u.Why}
	if u.Script < len(in.Scripts) {
		t := in.Scripts[u.Script]
		line := max(t.Line, 1) + u.Line - 1
		r.Message = fmt.Sprintf("the plan cannot be read: %s: %s", source(t.Source, line), u.Why)
		for l := range strings.Lines(t.Text) {
			if l = strings.TrimSpace(l); strings.HasPrefix(l, `\`) {
				r.Hint = `Lines that begin with \ are psql's commands, not SQL: leave them out, and write psql's :variables out.`
			}
		}
	}
	return r
}

// source names a place in one visible line.
func source(name string, line int) string {
	name = approval.Visible(strings.ToValidUTF8(name, "\uFFFD"))
	if runes := []rune(name); len(runes) > maxSource {
		name = string(runes[:maxSource-1]) + "…"
	}
	return fmt.Sprintf("%s:%d", name, line)
}
