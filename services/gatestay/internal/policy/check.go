package policy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const checkHelp = `Say what is wrong with the rules and with the masks beside them (masking.dir of
the configuration, else masking/ beside the rules), and what silently never applies.

Problems keep the services from publishing the folder: the exit code is 1.
Warnings are allowed to be written, but do not do what they seem to: a repository
whose ids are not pinned, a rule that covers no target or that another always
beats, a condition that is never true, a target that nobody can use, approvers
whom people.yaml does not know. With warnings only the exit code is 0.

With --catalog it signs in to the targets, as the gateway would, and also names
masks and conditions about tables and columns that are not there.`

const checkExample = `  gatestay policy check
  gatestay policy check --policies deploy/policies --config deploy/gatestay.yaml --catalog
  gatestay policy check --output json`

// checked is what check found.
type checked struct {
	OK      bool `json:"ok"`      // no problems
	Catalog bool `json:"catalog"` // names were compared with the targets' catalogs
	Masks   int  `json:"masks"`
	// PeopleChanges is what a change of people.yaml takes: second_person, file;
	// empty without a configuration.
	PeopleChanges string           `json:"people_changes,omitempty"`
	Problems      []policy.Problem `json:"problems"`
	Findings      []policy.Finding `json:"findings"`
}

func checkCommand(env *cli.Env, w *where) *cobra.Command {
	var catalog bool
	c := &cobra.Command{
		Use: "check", Short: "Say what is wrong, and what silently never applies", Long: checkHelp, Example: checkExample, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := w.read()
			if err != nil {
				return err
			}
			found, engine, err := f.check(c.Context(), catalog)
			if err != nil {
				return err
			}
			if env.JSON() {
				err = env.PrintJSON(found)
			} else {
				f.printChecked(ui.New(env, env.Stdout), found, engine)
			}
			if err == nil && !found.OK {
				return cli.ExitError(1)
			}
			return err
		},
	}
	c.Flags().BoolVar(&catalog, "catalog", false, "sign in to the targets and compare with their catalogs")
	return c
}

func (f *folder) check(ctx context.Context, catalog bool) (checked, *policy.Engine, error) {
	out := checked{Problems: []policy.Problem{}, Findings: []policy.Finding{}}
	if f.cfg != nil {
		out.PeopleChanges = f.cfg.Policy.Changes()
	}
	engine, problems, err := f.compile()
	if err != nil {
		return out, nil, err
	}
	masks, bad, err := f.masks()
	if err != nil {
		return out, nil, err
	}
	if masks != nil {
		out.Masks = len(masks.Rules())
	}
	if engine == nil {
		out.Problems = append(problems, bad...)
		return out, nil, nil
	}
	if _, err := engine.Test(f.files, f.around.Targets, nil); err != nil { // cases that cannot be read
		if out.Problems, err = problemsOf(err); err != nil {
			return out, nil, err
		}
	}
	out.Problems = append(out.Problems, bad...)
	out.Findings = append(out.Findings, policy.Check(engine, policy.Surroundings{Targets: f.around.Targets, Issuers: f.around.Issuers, Now: time.Now(), PeopleChanges: out.PeopleChanges})...)
	out.Findings = append(out.Findings, f.maskTargets(masks)...)
	if catalog {
		out.Catalog = true
		found, err := f.checkCatalogs(ctx, engine, masks)
		if err != nil {
			return out, nil, err
		}
		out.Findings = append(out.Findings, found...)
	}
	out.OK = len(out.Problems) == 0
	return out, engine, nil
}

func (f *folder) printChecked(p *ui.Printer, c checked, e *policy.Engine) {
	head := fmt.Sprintf("%s: %s", f.dir, plural(len(f.files), "file"))
	if e != nil {
		head += ", " + plural(len(e.Rules()), "rule")
	}
	if c.Masks > 0 {
		head += ", " + plural(c.Masks, "mask")
	}
	if f.cfg == nil {
		head += "; no gatestay.yaml, so targets and issuers are not compared"
	} else {
		names := make([]string, 0, len(f.around.Targets))
		for _, t := range f.around.Targets {
			names = append(names, t.Name)
		}
		head += "; targets " + strings.Join(names, ", ")
	}
	p.Line(p.Dim(head))
	if f.cfg != nil {
		p.Line(p.Dim(changes(f.cfg)))
	}
	problems, warnings := make([]notice, 0, len(c.Problems)), make([]notice, 0, len(c.Findings))
	for _, x := range c.Problems {
		problems = append(problems, f.problem(x))
	}
	for _, x := range c.Findings {
		warnings = append(warnings, f.finding(x))
	}
	f.print(p, "problem", problems)
	f.print(p, "warning", warnings)
	switch {
	case !c.OK:
		p.Line(p.Bad("✕ ") + plural(len(c.Problems), "problem") + ": this would not be published")
	case len(c.Findings) > 0:
		p.Line(p.Warn("! ") + "no problems, " + plural(len(c.Findings), "warning"))
	default:
		p.Line(p.Good("✓ ") + "no problems, and no rule that silently never applies")
	}
	if c.OK && !c.Catalog {
		p.Line(p.Dim(f.env.Typed("  what conditions" + and(c.Masks) + " name was not compared with a catalog: 'gatestay policy check --catalog' does that")))
	}
}

func and(masks int) string {
	if masks == 0 {
		return ""
	}
	return " and " + plural(masks, "mask")
}
