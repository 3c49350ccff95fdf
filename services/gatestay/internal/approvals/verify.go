package approvals

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/electorate"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const verifyHelp = `Check a decision with the approval service's public key: that the key signed it,
that it was made for exactly the request that its approvers were shown, for this
command, principal, target and rule, and that its votes are those of as many
distinct persons as the rule asks for, none of whom asked for it. In which groups
they were is the gateway's to check, with the people map. Where the rule asks for
passkeys, --people verifies their signatures with the public keys in people.yaml.

Nothing of it rests on the service's word: --save keeps the proof, which anybody
who has the public key can check later, without a network:

  gatestay approvals verify apr_01J… --save proof.json
  gatestay approvals verify --proof proof.json --key approval.pem.pub

The key is --key, GATESTAY_APPROVAL_KEY, or that of a running gatestay dev. Exit
code 1 where a check fails.`

func (t *tool) verifyCommand() *cobra.Command {
	var keys []string
	var file, save, mapFile string
	c := &cobra.Command{
		Use: "verify [ID]", Short: "Check a decision, offline, with the public key", Long: verifyHelp,
		Args: func(c *cobra.Command, args []string) error {
			if file != "" && len(args) == 0 {
				return nil
			}
			return oneID(c, args)
		},
		ValidArgsFunction: t.complete("decided"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := t.proof(c, file, args)
			if err != nil {
				return err
			}
			if save != "" {
				raw, err := json.MarshalIndent(p, "", "  ")
				if err == nil {
					err = os.WriteFile(save, append(raw, '\n'), 0o600)
				}
				if err != nil {
					return fmt.Errorf("approvals: save the proof: %w", err)
				}
			}
			trust, err := t.publicKeys(keys)
			if err != nil {
				return err
			}
			people, err := peopleMap(mapFile)
			if err != nil {
				return err
			}
			e, err := approval.Examine(trust, p, people)
			if err != nil {
				return fmt.Errorf("approvals: %w", err)
			}
			return t.examined(e)
		},
	}
	c.Flags().StringSliceVar(&keys, "key", nil, "the approval service's public key (PEM); may be given more than once")
	c.Flags().StringVar(&file, "proof", "", "check a proof that was saved, without a network")
	c.Flags().StringVar(&mapFile, "people", "", "people.yaml, to verify passkeys with its public keys")
	c.Flags().StringVar(&save, "save", "", "keep the proof in this file")
	return c
}

// peopleMap reads a people map; nil without a file.
func peopleMap(file string) (electorate.People, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // no map is no error
	}
	raw, err := os.ReadFile(file) //nolint:gosec // the caller names it
	if err != nil {
		return nil, fmt.Errorf("approvals: --people: %w", err)
	}
	p, err := policy.ReadPeople(raw)
	if err != nil {
		return nil, fmt.Errorf("approvals: --people: %w", err)
	}
	return p, nil
}

// proof reads a saved proof, or asks for one.
func (t *tool) proof(c *cobra.Command, file string, args []string) (approval.Proof, error) {
	var p approval.Proof
	if file != "" {
		raw, err := os.ReadFile(file) //nolint:gosec // the caller names it
		if err == nil {
			err = json.Unmarshal(raw, &p)
		}
		if err != nil {
			return p, fmt.Errorf("approvals: the proof: %w", err)
		}
		if len(args) == 1 && args[0] != p.ID {
			return p, fmt.Errorf("approvals: %s is the proof of %s", file, approval.Visible(p.ID))
		}
		return p, nil
	}
	client, err := t.client()
	if err != nil {
		return p, err
	}
	if err := client.Get(c.Context(), []string{"v1", "approvals", args[0], "proof"}, nil, &p); err != nil {
		return p, fmt.Errorf("approvals: %w", err)
	}
	return p, nil
}

func (t *tool) publicKeys(files []string) (seal.Trust, error) {
	if len(files) == 0 {
		if f := t.env.Getenv("GATESTAY_APPROVAL_KEY"); f != "" {
			files = []string{f}
		} else if f := filepath.Join(t.env.Dir, "keys", "approval.pem.pub"); exists(f) {
			files = []string{f}
		}
	}
	if len(files) == 0 {
		return nil, errors.New("approvals: which key? Give --key FILE (the approval service's approval.pem.pub), or set GATESTAY_APPROVAL_KEY")
	}
	trust, err := seal.LoadTrust(files...)
	if err != nil {
		return nil, fmt.Errorf("approvals: --key: %w", err)
	}
	return trust, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// examined prints what was checked; an error where something failed.
func (t *tool) examined(e *approval.Examined) error {
	var failed error
	if !e.OK() {
		failed = cli.ExitError(1)
	}
	r, d := e.Request, e.Decision
	if t.env.JSON() {
		err := t.env.PrintJSON(map[string]any{
			"approval": r.Id, "outcome": d.Outcome, "valid": e.OK(), "checks": e.Checks, "statement": r.Statement, "parameters": r.Parameters,
			"target": r.Target, "rule": r.Rule, "who": approval.Describe(r.Principal), "decided_at": d.DecidedAt.AsTime(),
		})
		return errors.Join(err, failed)
	}
	p := ui.New(t.env, t.env.Stdout)
	p.Title(approval.Visible(approval.Headline(r.Verb, r.Objects) + " on " + r.Target + ": " + d.Outcome))
	for _, c := range e.Checks {
		mark := p.Good("✓")
		if !c.OK {
			mark = p.Bad("✗")
		}
		p.Line("  " + mark + " " + c.What)
		if c.Detail != "" {
			p.Line("    " + p.Dim(approval.Visible(c.Detail)))
		}
	}
	p.Line("")
	for _, l := range shownLines(r.Statement, r.Parameters) {
		p.Line("  " + p.Accent(l))
	}
	p.Line("")
	if failed != nil {
		p.Line(p.Bad("Not valid: do not rely on this decision."))
		return failed
	}
	p.Line(p.Good("Valid.") + " Whether the rule said what the request says of it, the policy bundle of version " + fmt.Sprint(r.PolicyVersion) + " tells.")
	return nil
}
