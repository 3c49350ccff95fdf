package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/run"
)

// showCommand is 'gatestay plan show': a plan as it stands now, for the job that
// asked for it.
func (f *flags) showCommand(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "show TARGET ID", Short: "A plan of this job, as it stands now", Args: cobra.ExactArgs(2), Annotations: withMarkdown,
		Long: `Show a plan that this job has asked for, and where its approval stands, so that a
pipeline can edit its comment. It must be the same job at the same commit; people
use 'gatestay approvals show'.`,
		Example: "  gatestay plan show prod-db apr_01J... --output markdown",
		RunE:    func(c *cobra.Command, args []string) error { return f.again(c.Context(), env, args[0], args[1]) },
	}
}

func (f *flags) again(ctx context.Context, env *cli.Env, target, id string) error {
	if !strings.HasPrefix(id, "apr_") || strings.ContainsAny(id, "/?#%.") {
		return errors.New("plan: give the plan's id (apr_…), which 'gatestay plan' printed")
	}
	g, r, err := f.exchange(ctx, env, target)
	if err != nil {
		return err
	}
	defer g.Close()
	defer func() { _ = g.End(context.WithoutCancel(ctx), r.Credential) }()
	raw, err := g.PlanState(ctx, r.Credential, id)
	if err != nil {
		return err //nolint:wrapcheck // a refusal speaks for itself
	}
	if env.JSON() {
		return env.PrintJSON(json.RawMessage(raw)) //nolint:wrapcheck // cli's own words
	}
	var st struct {
		state
		Plan *Plan `json:"plan"`
	}
	if err := json.Unmarshal(raw, &st); err != nil || st.Plan == nil || st.Plan.Deadline == nil {
		return errors.New("plan: the gateway's answer cannot be read; is this gatestay older than the gateway?")
	}
	st.Plan.state = &st.state
	if err := f.show(env, target, st.Plan); err != nil || env.Output == markdown {
		return err
	}
	fmt.Fprintln(env.Stdout, run.Clean(st.word()))
	return nil
}

// word says where it stands.
func (s *state) word() string {
	if s.State == "approved" {
		return "approved by " + strings.Join(s.Approvers, ", ") + ", until " + s.Until.Local().Format(time.DateTime)
	}
	return strings.TrimSpace(s.Message + "\n" + s.Detail)
}
