package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/policy/offline"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const explainHelp = `Say which rule decides a statement, and why; and of every other rule, why it does not.

Who asks is a job's token (--token FILE, - for standard input, or the token itself;
it is not verified here), or what you write: --principal takes the fields that
rules match on, claims.NAME for further claims, and asserted=FIELD for what the
caller merely says. --agent and --on-behalf-of are said, as with gatestay run.

The statement is an argument, or - for standard input. Names without a schema are
taken to lie in public; with --catalog the target itself is asked.`

const explainExample = `  gatestay policy explain --principal preset=github-actions,repository_id=1001,repository_owner_id=2002 \
    --target prod-db 'UPDATE customers SET tier = 1'
  gatestay token --dev | gatestay policy explain --token - --target prod-db 'DROP TABLE customers'
  gatestay policy explain --token job.jwt --target prod-db --reason 'ticket 4' - < migrate.sql`

type explainFlags struct {
	principal, token, target, reason, agent, onBehalfOf, at string
	catalog                                                 bool
}

func explainCommand(env *cli.Env, w *where) *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use: "explain [flags] SQL", Short: "Say which rule decides a statement, and why", Long: explainHelp, Example: explainExample, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c.Context(), env, w, args[0]) },
	}
	c.Flags().StringVar(&f.principal, "principal", "", "who asks: name=value,name=value")
	c.Flags().StringVar(&f.token, "token", "", "who asks: a job's token, its file, or -")
	c.Flags().StringVar(&f.target, "target", "", "target, or target/database")
	c.Flags().StringVar(&f.reason, "reason", "", "the reason that the session gives")
	c.Flags().StringVar(&f.agent, "agent", "", "the agent that the caller says it is")
	c.Flags().StringVar(&f.onBehalfOf, "on-behalf-of", "", "the person for whom the caller says it acts")
	c.Flags().BoolVar(&f.catalog, "catalog", false, "sign in to the target and resolve names with its catalog")
	c.Flags().StringVar(&f.at, "at", "", "the moment of the decision: 2026-12-24T18:00:00+01:00 (default now)")
	c.MarkFlagsMutuallyExclusive("principal", "token")
	return c
}

// explained is all that explain says, as JSON.
type explained struct {
	Principal  *eventv1.Principal `json:"principal"`
	At         time.Time          `json:"-"`
	Target     string             `json:"target"`
	Statements []statement        `json:"statements"`
	Can        []string           `json:"can"`
}

type statement struct {
	Facts          facts              `json:"facts"`
	Effect         policy.Effect      `json:"effect"`
	Rule           string             `json:"rule"`
	Description    string             `json:"description,omitempty"`
	Why            string             `json:"why"`
	Preamble       bool               `json:"preamble,omitempty"`
	Approvers      *eventv1.Approvers `json:"approvers,omitempty"`
	Deadline       string             `json:"deadline,omitempty"`
	Rehearsal      string             `json:"rehearsal,omitempty"`  // how long it may run to be measured, and is rolled back
	ApproveIf      string             `json:"approve_if,omitempty"` // where that needs nobody
	ReasonRequired bool               `json:"reason_required,omitempty"`
	RowLimit       int64              `json:"row_limit,omitempty"`
	ByteLimit      int64              `json:"byte_limit,omitempty"`
	Masks          string             `json:"masks,omitempty"` // why masks refuse what policy allows
	Rules          []policy.Trace     `json:"rules"`
}

type facts struct {
	Verb      string   `json:"verb"`
	Class     string   `json:"class"`
	Objects   []string `json:"objects"`
	Columns   []string `json:"columns"`
	Functions []string `json:"functions"`
	// Comparisons are the columns whose values decide something, and how.
	Comparisons []string `json:"comparisons"`
	Filtered    *bool    `json:"filtered,omitempty"` // of update and delete: whether there is a WHERE
	Unknown     []string `json:"unknown"`
	Why         string   `json:"why,omitempty"`
}

func (f *explainFlags) run(ctx context.Context, env *cli.Env, w *where, sql string) error {
	if f.target == "" {
		return errors.New("which target? say --target NAME")
	}
	at := time.Now()
	if f.at != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, f.at); err != nil || at.Unix() <= 0 {
			return fmt.Errorf("--at %q is no moment: write it as 2026-12-24T18:00:00+01:00", f.at)
		}
	}
	if sql == "-" && f.token == "-" {
		return errors.New("standard input cannot be both the token and the statement")
	}
	folder, err := w.read()
	if err != nil {
		return err
	}
	engine, problems, err := folder.compile()
	if err != nil {
		return err
	}
	if engine == nil {
		return folder.refuse(env, ui.New(env, env.Stdout), problems)
	}
	who, err := f.who(env, folder.around.Issuers)
	if err != nil {
		return err
	}
	if sql == "-" {
		if sql, err = readInput(env, "-"); err != nil {
			return err
		}
	}
	name, database, _ := strings.Cut(f.target, "/")
	target := folder.target(name)
	if database != "" {
		target.Database = database
	}
	masks, problems, err := folder.masks()
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return folder.refuse(env, ui.New(env, env.Stdout), problems)
	}
	read := policy.FactsFunc(offline.Facts)
	if f.catalog {
		c, err := folder.readCatalog(ctx, name)
		if err != nil {
			return err
		}
		c.masks = masks
		read = c.facts
	}
	x := explain(engine, masks, policy.Input{Principal: who, Target: target, Session: policy.Session{Reason: f.reason}, At: at}, sql, read)
	if env.JSON() {
		return env.PrintJSON(x)
	}
	folder.printExplained(ui.New(env, env.Stdout), engine, x)
	return nil
}

func explain(e *policy.Engine, masks *masking.Engine, in policy.Input, sql string, read policy.FactsFunc) explained {
	x := explained{Principal: in.Principal, At: in.At, Target: in.Target.Name, Can: e.Can(in.Principal, in.Target, in.At).Sentences}
	list := policy.StatementFacts(in.Target, sql, read)
	for i := range list {
		in.Facts = &list[i]
		said := e.Explain(in)
		d := said.Decision
		s := statement{
			Facts: factsOf(&list[i], said.Unknown), Effect: d.Effect, Rule: d.Rule, Description: d.Description, Why: d.Why, Preamble: said.Preamble,
			Approvers: d.Approvers, ReasonRequired: d.ReasonRequired, RowLimit: d.RowLimit, ByteLimit: d.ByteLimit, Rules: said.Rules,
		}
		if d.Deadline > 0 {
			s.Deadline = policy.Short(d.Deadline)
		}
		if d.Rehearsal != nil {
			s.Rehearsal, s.ApproveIf = policy.Short(d.Rehearsal.Timeout), d.ApproveIf.String()
		}
		if s.Masks = compared(masks, in, d.Effect); s.Masks != "" {
			s.Effect = policy.Deny
		}
		x.Statements = append(x.Statements, s)
	}
	return x
}

// compared says why masks refuse what policy decides.
func compared(masks *masking.Engine, in policy.Input, decided policy.Effect) string {
	if masks == nil || decided == policy.Deny {
		return ""
	}
	list := in.Facts.Compared // with a catalog
	if list == nil {
		list = masks.ComparedByName(in.Target.Name, in.Facts)
	}
	_, refused, final := masks.Compare(in.Target.Name, list)
	if refused == nil || decided == policy.Hold && !final {
		return ""
	}
	return fmt.Sprintf("refuse it (%s): %s; %s", refused.Code, refused.Message, strings.TrimSuffix(refused.Detail, "."))
}

// filterable are the verbs of which a missing WHERE says something.
var filterable = []string{"update", "delete"}

func factsOf(f *command.Facts, unknown []string) facts {
	out := facts{Verb: f.Verb, Class: string(f.Class), Objects: []string{}, Columns: []string{}, Functions: []string{}, Comparisons: []string{}, Unknown: []string{}, Why: f.Why}
	if contains(filterable, f.Verb) {
		out.Filtered = &f.Filtered
	}
	for _, o := range f.Objects {
		out.Objects = append(out.Objects, o.String()+" ("+string(o.Access)+")")
	}
	for _, c := range f.Columns {
		out.Columns = append(out.Columns, strings.TrimLeft(c.Schema+"."+c.Table+"."+c.Name, "."))
	}
	for _, c := range f.Comparisons {
		text := strings.TrimLeft(c.Column.Schema+"."+c.Column.Table+"."+c.Column.Name, ".") + " (" + string(c.Use) + ")"
		if !contains(out.Comparisons, text) {
			out.Comparisons = append(out.Comparisons, text)
		}
	}
	out.Functions = append(out.Functions, f.Functions...)
	out.Unknown = append(out.Unknown, unknown...)
	return out
}

func (f *folder) printExplained(p *ui.Printer, e *policy.Engine, x explained) {
	for i, s := range x.Statements {
		if len(x.Statements) > 1 {
			p.Line(p.Dim(fmt.Sprintf("statement %d of %d", i+1, len(x.Statements))))
		}
		f.printStatement(p, e, s, policy.Requesters(x.Principal), x.At)
		p.Line("")
	}
	p.Line(p.Dim("here: ") + strings.Join(x.Can, "; "))
}

func (f *folder) printStatement(p *ui.Printer, e *policy.Engine, s statement, requesters []string, at time.Time) {
	decided := "no rule: the default"
	for _, r := range s.Rules {
		if r.Decides {
			decided = fmt.Sprintf("rule %s (%s:%d)", r.Rule, f.path(r.File), r.Line)
		}
	}
	if s.Masks != "" {
		decided = "masks, after " + decided
	}
	p.Line(effect(p, policy.Effect(strings.ToUpper(string(s.Effect)))) + "  by " + decided)
	pairs := [][2]string{{"why", s.Why}, {"command", s.Facts.text()}}
	if len(s.Facts.Unknown) > 0 {
		pairs = append(pairs, [2]string{"not known", strings.Join(s.Facts.Unknown, ", ")})
	}
	if len(s.Facts.Comparisons) > 0 {
		pairs = append(pairs, [2]string{"compares", strings.Join(s.Facts.Comparisons, ", ")})
	}
	if s.Masks != "" {
		pairs = append(pairs, [2]string{"masks", s.Masks})
	}
	if s.Approvers != nil {
		pairs = append(pairs, [2]string{"waits for", e.People().Approvers(s.Approvers, requesters, at) + ", at most " + s.Deadline})
	}
	if s.Rehearsal != "" {
		pairs = append(pairs, [2]string{"rehearses", "it first, in at most " + s.Rehearsal + ", rolled back"})
	}
	if s.ApproveIf != "" {
		pairs = append(pairs, [2]string{"needs nobody", "where " + s.ApproveIf})
	}
	if s.ReasonRequired {
		pairs = append(pairs, [2]string{"demands", "a reason"})
	}
	if s.RowLimit > 0 {
		pairs = append(pairs, [2]string{"limits", fmt.Sprintf("the result to %d rows", s.RowLimit)})
	}
	if s.ByteLimit > 0 {
		pairs = append(pairs, [2]string{"limits", fmt.Sprintf("the result to %d bytes", s.ByteLimit)})
	}
	p.Pairs(pairs)
	printTraces(p, s.Rules)
}

func (f *facts) text() string {
	s := fmt.Sprintf("%s, class %s", f.Verb, f.Class)
	if f.Verb == "" {
		s = "class " + f.Class
	}
	if f.Why != "" {
		s += " (" + f.Why + ")"
	}
	if len(f.Objects) > 0 {
		s += "; " + strings.Join(f.Objects, ", ")
	}
	if f.Filtered != nil && !*f.Filtered {
		s += "; no WHERE"
	}
	return s
}

// printTraces writes the table of rules: those that match first.
func printTraces(p *ui.Printer, rules []policy.Trace) {
	wide := 4
	for _, r := range rules {
		wide = max(wide, len([]rune(r.Rule)))
	}
	pad := func(s string, n int) string { return s + strings.Repeat(" ", max(0, n-len([]rune(s)))) }
	p.Line("")
	p.Line(p.Dim("    " + pad("rule", wide) + "  effect  why"))
	for _, r := range rules {
		mark := "    "
		switch {
		case r.Decides:
			mark = "  " + p.Accent("▸") + " "
		case r.Matched:
			mark = "  ✓ "
		}
		p.Line(mark + pad(r.Rule, wide) + "  " + effect(p, r.Effect) + strings.Repeat(" ", 8-len(r.Effect)) + p.Dim(r.Why))
	}
	if len(rules) == 0 {
		p.Line(p.Dim("    there is no rule"))
	}
}
