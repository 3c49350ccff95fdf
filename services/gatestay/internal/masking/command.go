// Package masking is gatestay masking: what administrators do about masks,
// beside the files.
package masking

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/login"
	"github.com/gatestay/gatestay/services/gatestay/internal/remote"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const copiesHelp = `What was copied out of a masked column is masked under its own name from then on,
for every job, even when the table is dropped and made anew. An administrator can
lift that, once nothing of the column is there any more: the act, who did it and
why are in the audit. What is copied there again is masked again; nothing is lifted
while a session is there that may still be copying.`

// tool is what the commands share.
type tool struct {
	env   *cli.Env
	token func(*cli.Env) (string, error)
}

// Command returns gatestay masking.
func Command(env *cli.Env) *cobra.Command { return (&tool{env: env, token: login.Token}).command() }

func (t *tool) command() *cobra.Command {
	c := &cobra.Command{Use: "masking", Short: "See what copies of masked columns are masked, and lift that"}
	copies := &cobra.Command{Use: "copies", Short: "What masked columns were copied to", Long: copiesHelp}
	copies.AddCommand(t.listCommand(), t.liftCommand())
	c.AddCommand(copies)
	return c
}

// Copy is one copy, as the approval service tells of it.
type Copy struct {
	Target   string `json:"target"`
	Database string `json:"database"`
	Schema   string `json:"schema"`
	Table    string `json:"table"`
	Column   string `json:"column"`
	From     string `json:"from"`
	By       string `json:"by"`
}

func (t *tool) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list TARGET", Short: "The copies that are masked", Args: cobra.ExactArgs(1), Example: "  gatestay masking copies list prod-db",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := remote.New(t.env, remote.Approvals, t.token)
			if err != nil {
				return fmt.Errorf("masking: %w", err)
			}
			var raw json.RawMessage
			if err := client.Get(c.Context(), []string{"v1", "copies"}, url.Values{"target": {args[0]}}, &raw); err != nil {
				return fmt.Errorf("masking: %w", err)
			}
			return t.print(raw, "Nothing that was copied out of a masked column is known on "+args[0]+".")
		},
	}
}

func (t *tool) liftCommand() *cobra.Command {
	var reason, database string
	c := &cobra.Command{
		Use: "lift TARGET SCHEMA.TABLE[.COLUMN]", Short: "Mask a copy no more", Args: cobra.ExactArgs(2), Long: copiesHelp,
		Example: `  gatestay masking copies lift prod-db public.archive --reason "dropped in release 42"`,
		RunE: func(c *cobra.Command, args []string) error {
			names, err := parts(args[1])
			if err != nil {
				return err
			}
			if strings.TrimSpace(reason) == "" {
				return errors.New("masking: give a --reason: the audit keeps it")
			}
			client, err := remote.New(t.env, remote.Approvals, t.token)
			if err != nil {
				return fmt.Errorf("masking: %w", err)
			}
			body := map[string]string{"target": args[0], "database": database, "schema": names[0], "table": names[1], "reason": reason}
			if len(names) == 3 {
				body["column"] = names[2]
			}
			var raw json.RawMessage
			if err := client.Post(c.Context(), []string{"v1", "copies", "lift"}, body, &raw); err != nil {
				return fmt.Errorf("masking: %w", err)
			}
			return t.print(raw, "")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the audit keeps it")
	c.Flags().StringVar(&database, "database", "", "of one of the target's databases only")
	return c
}

// parts splits schema.table[.column]; a name may stand in double quotes.
func parts(text string) ([]string, error) {
	var out []string
	for rest := text; ; {
		name, after := rest, ""
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && (rest[end] != '"' || strings.HasPrefix(rest[end:], `""`)) {
				if rest[end] == '"' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return nil, fmt.Errorf("masking: %s: a quote is not closed", text)
			}
			name, after = strings.ReplaceAll(rest[1:end], `""`, `"`), rest[end+1:]
		} else if i := strings.IndexByte(rest, '.'); i >= 0 {
			name, after = rest[:i], rest[i:]
		}
		if out = append(out, name); after == "" {
			break
		}
		if after[0] != '.' {
			return nil, fmt.Errorf("masking: %s: a dot is missing behind a quote", text)
		}
		rest = after[1:]
	}
	for _, name := range out {
		if name == "" || len(out) < 2 || len(out) > 3 {
			return nil, fmt.Errorf("masking: %s: name a relation as SCHEMA.TABLE, or a column as SCHEMA.TABLE.COLUMN", text)
		}
	}
	return out, nil
}

// print shows copies that are masked; with nothing to say of none, copies that
// were lifted.
func (t *tool) print(raw json.RawMessage, none string) error {
	if t.env.JSON() {
		return t.env.PrintJSON(raw) //nolint:wrapcheck // cli's own words
	}
	var answer struct {
		Copies []Copy `json:"copies"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("masking: the answer cannot be read; is this gatestay older than the approval service? %w", err)
	}
	p := ui.New(t.env, t.env.Stdout)
	if len(answer.Copies) == 0 {
		p.Line(none)
	}
	for _, c := range answer.Copies {
		line := approval.Visible(c.Schema + "." + c.Table + "." + c.Column)
		if c.Schema == "" {
			line = approval.Visible(c.Table + "." + c.Column)
		}
		if c.From != "" {
			line += ", from " + approval.Visible(c.From)
		}
		line += " (database " + approval.Visible(c.Database) + ", copied by " + approval.Visible(c.By) + ")"
		if none == "" {
			line = p.Good("lifted") + " " + line
		}
		p.Line(line)
	}
	return nil
}
