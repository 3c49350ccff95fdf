package audit

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/remote"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const searchLong = `List commands, the newest first, with what was decided and how they ended.

Filters add up. TEXT is any part of a statement or of its reason, in any case.
Times: ` + forms + `.
A day given to --until is included.`

const searchExample = `  gatestay audit search --since 2h
  gatestay audit search --object customers --since yesterday
  gatestay audit search --repository acme/shop --verdict deny
  gatestay audit search 'drop table' --since 2026-11-01 --output csv`

const (
	defaultLimit = 50
	pageLimit    = 500
	maxLimit     = 100_000
	// minTable is the width below which each command takes lines of its own: a
	// table would have room for half of it.
	minTable = 110
)

// verdicts are decisions, and what became of them.
var verdicts = []string{"allow", "hold", "deny", "held", "ok", "error", "refused", "cancelled", "not_executed", "unknown", "running"}

type searchFlags struct {
	principal, repository, target, object, verdict, text, since, until string
	limit                                                              int
}

func (t *tool) searchCommand() *cobra.Command {
	var f searchFlags
	c := &cobra.Command{
		Use: "search [TEXT]", Short: "List commands by who, what, where and when", Long: searchLong, Example: searchExample, Args: cobra.MaximumNArgs(1),
		Annotations: withCSV,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if f.text != "" {
					return fmt.Errorf("audit: give the text once, as an argument or with --text")
				}
				f.text = args[0]
			}
			return t.search(c.Context(), &f)
		},
	}
	c.Flags().StringVar(&f.principal, "principal", "", "repository or its id, token subject, CI user, agent, or on-behalf-of")
	c.Flags().StringVar(&f.repository, "repository", "", "owner/name, or the repository's id")
	c.Flags().StringVar(&f.target, "target", "", "the target's name")
	c.Flags().StringVar(&f.object, "object", "", "a table: schema.name, or the name alone")
	c.Flags().StringVar(&f.verdict, "verdict", "", strings.Join(verdicts, ", "))
	c.Flags().StringVar(&f.text, "text", "", "any part of the statement or the reason")
	c.Flags().StringVar(&f.since, "since", "", "not before this time")
	c.Flags().StringVar(&f.until, "until", "", "not after this time")
	c.Flags().IntVarP(&f.limit, "limit", "n", defaultLimit, "at most this many")
	cli.CompleteFlag(c, "verdict", func() []string { return verdicts })
	cli.CompleteFlag(c, "target", func() []string {
		targets, _ := t.env.CompleteTarget(c, nil, "")
		return targets
	})
	return c
}

func (t *tool) search(ctx context.Context, f *searchFlags) error {
	query, err := f.query(t.now())
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	commands, more, err := f.pages(ctx, c, query)
	if err != nil {
		return err
	}
	switch t.env.Output {
	case "json":
		return t.env.PrintJSON(map[string]any{"commands": commands, "more": more}) //nolint:wrapcheck // cli's own words
	case "csv":
		return printCSV(t.env, commands)
	}
	t.print(commands, more)
	return nil
}

// query turns the flags into the service's parameters.
func (f *searchFlags) query(now time.Time) (url.Values, error) {
	q := url.Values{}
	for name, value := range map[string]string{
		"principal": f.principal, "repository": f.repository, "target": f.target, "object": f.object, "verdict": strings.ToLower(f.verdict), "text": f.text,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, given := range map[string]struct {
		text  string
		parse func(string, time.Time) (time.Time, error)
	}{"since": {f.since, since}, "until": {f.until, until}} {
		if given.text == "" {
			continue
		}
		t, err := given.parse(given.text, now)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
		q.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
	if f.limit < 1 || f.limit > maxLimit {
		return nil, fmt.Errorf("--limit is a number from 1 to %d", maxLimit)
	}
	return q, nil
}

// pages asks until the limit is reached or there are no more.
func (f *searchFlags) pages(ctx context.Context, c *remote.Client, query url.Values) (commands []command, more bool, err error) {
	commands = []command{}
	for {
		query.Set("limit", strconv.Itoa(min(f.limit-len(commands), pageLimit)))
		var page struct {
			Commands []command `json:"commands"`
			Next     string    `json:"next"`
		}
		if err := c.Get(ctx, []string{"v1", "audit", "search"}, query, &page); err != nil {
			return nil, false, fmt.Errorf("audit: %w", err)
		}
		commands = append(commands, page.Commands...)
		if page.Next == "" || len(page.Commands) == 0 || len(commands) >= f.limit {
			return commands, page.Next != "", nil
		}
		query.Set("cursor", page.Next)
	}
}

func (t *tool) print(commands []command, more bool) {
	p := ui.New(t.env, t.env.Stdout)
	if len(commands) == 0 {
		p.Line("Nothing found.")
		return
	}
	now, width := t.now(), columns(t.env)
	lines := layout(searchTable(p, commands, now), width, p.Dim)
	if width > 0 && width < minTable {
		lines = stack(p, commands, width, now)
	}
	for _, line := range lines {
		p.Line(line)
	}
	summary := count(int64(len(commands)), "command")
	if more {
		summary += fmt.Sprintf("; there are older ones: --until '%s', or a larger --limit", commands[len(commands)-1].Time.In(now.Location()).Format("2006-01-02 15:04:05"))
	}
	p.Line("")
	p.Line(p.Dim(t.env.Typed(summary + "; 'gatestay audit show SESSION' tells a session's story")))
}

func searchTable(p *ui.Printer, commands []command, now time.Time) []column {
	table := []column{
		{title: "TIME"},
		{title: "WHO", optional: 1},
		{title: "TARGET", optional: 4},
		{title: "DECISION"},
		{title: "ENDED", optional: 3},
		{title: "STATEMENT", elastic: true},
		{title: "SESSION", optional: 2},
	}
	for i := range commands {
		c := &commands[i]
		for n, text := range []string{
			stamp(c.Time, now), who(c.Principal), approval.Visible(c.Target), decision(c), ending(c), approval.Visible(c.Statement), approval.Visible(c.SessionID),
		} {
			table[n].cells = append(table[n].cells, text)
		}
		table[3].paint = append(table[3].paint, tone(p, c))
		table[0].paint, table[6].paint = append(table[0].paint, p.Dim), append(table[6].paint, p.Dim)
	}
	return table
}

// stack writes each command on three lines.
func stack(p *ui.Printer, commands []command, width int, now time.Time) (lines []string) {
	for i := range commands {
		c := &commands[i]
		verdict := decision(c)
		rest := fit("  "+ending(c)+"  "+who(c.Principal)+" on "+approval.Visible(c.Target), width-cells(verdict)-cells(stamp(c.Time, now))-gap)
		lines = append(lines,
			p.Dim(stamp(c.Time, now))+strings.Repeat(" ", gap)+tone(p, c)(verdict)+rest,
			"  "+fit(approval.Visible(c.Statement), width-gap),
			"  "+p.Dim(fit(approval.Visible(c.SessionID), width-gap)))
	}
	return lines
}

// tone is the colour of a command's decision.
func tone(p *ui.Printer, c *command) func(string) string {
	switch {
	case c.Effect == "deny", c.Status == "refused":
		return p.Bad
	case c.Effect == "hold", c.Status == "unknown", c.Status == "error":
		return p.Warn
	default:
		return p.Good
	}
}

// printCSV writes every field; cells that a spreadsheet would take for a
// formula begin with an apostrophe.
func printCSV(env *cli.Env, commands []command) error {
	w := csv.NewWriter(env.Stdout)
	rows := [][]string{{
		"time", "session_id", "command_id", "repository", "repository_id", "workflow", "run_id", "actor", "agent", "on_behalf_of", "subject", "target", "database",
		"verb", "class", "objects", "statement", "parameters", "reason", "effect", "rule", "approvers", "wait_seconds", "status", "code", "message", "rows", "masked_cells",
		"duration_seconds", "trace_id",
	}}
	for _, c := range commands {
		p := c.Principal
		rows = append(rows, []string{
			c.Time.UTC().Format(time.RFC3339Nano), c.SessionID, c.CommandID, p.Repository, p.RepositoryID, p.Workflow, p.RunID, p.Actor, p.Agent, p.OnBehalfOf, p.Subject,
			c.Target, c.Database, c.Verb, c.Class, strings.Join(c.Objects, " "), c.Statement, strings.Join(c.Parameters, "\n"), c.Reason, c.Effect, c.Rule,
			strings.Join(c.Approvers, " "), fmt.Sprint(c.Wait), c.Status, c.Code, c.Message, fmt.Sprint(c.Rows), fmt.Sprint(c.MaskedCells), fmt.Sprint(c.Duration), c.TraceID,
		})
	}
	for _, row := range rows {
		for i, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				row[i] = "'" + cell
			}
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("audit: write csv: %w", err)
	}
	return nil
}
