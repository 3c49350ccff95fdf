package policy

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/people"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/libs/seal"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const confirmHelp = `Put people.yaml, as it lies in policy.dir, into force without a second person.

A change of the people map is published when others have approved it. This is the
way out where too few are left to ask: it signs the map with the policy service's
own key (policy.key), so it works on that machine only, for whoever may read the
key. It is loud: an administrative record and a finding name who did it.

Without --yes it shows what would change, and does nothing.`

func peopleCommand(env *cli.Env, w *where) *cobra.Command {
	c := &cobra.Command{Use: "people", Short: "Confirm the people map on the policy service's machine"}
	c.AddCommand(confirmCommand(env, w))
	return c
}

func confirmCommand(env *cli.Env, w *where) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "confirm", Short: "Put people.yaml into force without a second person, loudly", Long: confirmHelp, Args: cobra.NoArgs,
		Example: "  gatestay policy people confirm --config /etc/gatestay/gatestay.yaml\n  gatestay policy people confirm --config /etc/gatestay/gatestay.yaml --yes",
		RunE:    func(*cobra.Command, []string) error { return confirm(env, w, yes) },
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}

func confirm(env *cli.Env, w *where, yes bool) error {
	f, err := w.read()
	if err != nil {
		return err
	}
	if f.cfg == nil || f.cfg.Policy.Key == "" {
		return errors.New("policy: which key? Run it with the policy service's configuration: --config FILE, whose policy.key is there")
	}
	file := f.cfg.Path(f.cfg.Policy.Key)
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("policy: the policy service's key is not here: %w", err)
	}
	key, err := seal.LoadOrGenerate(file)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	to := f.files[policy.PeopleFile]
	next, err := policy.ReadPeople(to)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	state, err := people.Read(people.Path(file), key.Public())
	if err != nil {
		return fmt.Errorf("policy: the map in force: %w", err)
	}
	var from []byte
	if state != nil {
		from = state.Map
	}
	now, err := policy.ReadPeople(from)
	if err != nil {
		return fmt.Errorf("policy: the map in force: %w", err)
	}
	p := ui.New(env, env.Stdout)
	p.Line(p.Dim(filepath.Join(f.dir, policy.PeopleFile) + ", compared with the map in force that " + people.Path(file) + " knows"))
	for _, line := range now.Change(next).Lines {
		p.Line("  " + approval.Visible(line))
	}
	if !yes {
		p.Line(p.Warn("! ") + env.Typed("nothing was done; 'gatestay policy people confirm --yes' puts it into force, on the record"))
		return nil
	}
	s := state.Next(to, people.Machine, time.Now())
	s.By = []string{who()}
	raw, err := s.Sign(key)
	if err == nil {
		err = people.Write(people.Path(file), raw)
	}
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	p.Line(p.Good("✓ ") + "confirmed by " + s.By[0] + "; the policy service publishes it within seconds, and records who did it")
	return nil
}

// who is at this machine.
func who() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + " at " + host
}

// changes says what a change of the people map takes.
func changes(cfg *config.Config) string {
	if cfg.Policy.SecondPerson() {
		return "a change of " + policy.PeopleFile + " takes a second person"
	}
	return "whoever may write " + policy.PeopleFile + " may change who is who (policy.people_changes: file)"
}
