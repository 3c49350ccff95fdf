package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/token"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const pinHelp = `Write a repository's ids into every rule that names it. Until they are there the
rule matches nothing: a name can be taken over by somebody else, an id cannot.

Where to find the ids:
  GitHub   gh api repos/acme/shop --jq '.id, .owner.id'
  GitLab   the project's page shows its id; the owner's is that of the namespace
  a token  of one of its jobs holds both: --token FILE (- reads standard input)

  in a job --from-token takes the job's own token (or, beside gatestay dev, one of
           the local issuer's)

A token that is read here is not verified. Pin from it only if you know where it
comes from; you are asked, or say --yes. Comments and layout stay as they are. Ids
that differ are not replaced, unless you say --replace: it is another repository.`

const pinExample = `  gatestay policy pin acme/shop --repository-id 1001 --owner-id 2002
  gatestay token --dev | gatestay policy pin acme/shop --token - --yes`

type pinFlags struct {
	pins  policy.Pins
	token string // file, or - for standard input
	own   bool   // the job's own token
	yes   bool
}

func pinCommand(env *cli.Env, w *where) *cobra.Command {
	var f pinFlags
	c := &cobra.Command{
		Use: "pin OWNER/NAME", Short: "Write a repository's ids into the rules that name it", Long: pinHelp, Example: pinExample, Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.pins.Repository = args[0]
			}
			return f.run(c.Context(), env, w)
		},
	}
	c.Flags().StringVar(&f.pins.RepositoryID, "repository-id", "", "GitHub's repository_id, GitLab's project_id")
	c.Flags().StringVar(&f.pins.RepositoryOwnerID, "owner-id", "", "GitHub's repository_owner_id, GitLab's namespace_id")
	c.Flags().StringVar(&f.token, "token", "", "read the ids from a job's token in this file, or - for standard input")
	c.Flags().BoolVar(&f.own, "from-token", false, "read the ids from this job's own token, as gatestay token finds it")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask whether the token is to be trusted")
	c.Flags().BoolVar(&f.pins.Replace, "replace", false, "replace ids that differ")
	c.MarkFlagsMutuallyExclusive("token", "from-token", "repository-id")
	return c
}

func (f *pinFlags) run(ctx context.Context, env *cli.Env, w *where) error {
	folder, err := w.read()
	if err != nil {
		return err
	}
	p := ui.New(env, env.Stdout)
	if f.token != "" || f.own {
		if err := f.fromToken(ctx, env); err != nil {
			return err
		}
	}
	switch {
	case f.pins.Repository == "":
		return errors.New("name the repository: gatestay policy pin OWNER/NAME --repository-id ID --owner-id ID")
	case f.pins.RepositoryID == "":
		return fmt.Errorf("which repository is %s? say --repository-id and --owner-id, or --token FILE", f.pins.Repository)
	case !digits(f.pins.RepositoryID) || f.pins.RepositoryOwnerID != "" && !digits(f.pins.RepositoryOwnerID):
		return errors.New("an id is a number: gh api repos/OWNER/NAME --jq '.id, .owner.id' prints both")
	}
	changed, found, err := policy.Pin(folder.files, f.pins)
	if errors.Is(err, policy.ErrOtherIDs) {
		return fmt.Errorf("%w; if it is another repository now, say --replace", err)
	}
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("no rule in %s names %s", folder.dir, f.pins.Repository)
	}
	if err := folder.write(changed); err != nil {
		return err
	}
	if env.JSON() {
		return env.PrintJSON(found)
	}
	for _, x := range found {
		state := p.Good("pinned ")
		if !x.Changed {
			state = p.Dim("already")
		}
		p.Line(fmt.Sprintf("%s  %s:%d  rule %s", state, folder.path(x.File), x.Line, x.Rule))
	}
	if f.pins.RepositoryOwnerID == "" {
		p.Line(p.Warn("!        ") + "without --owner-id a job of GitHub still does not match")
	}
	return nil
}

// fromToken reads the ids of a token that is not verified, and asks; not where
// the CI system itself has just given the token to us.
func (f *pinFlags) fromToken(ctx context.Context, env *cli.Env) error {
	source := f.token
	if f.own {
		found, err := token.Find(ctx, env, token.Options{})
		if err != nil {
			return err
		}
		source, f.yes = found.Value, true
		_, _ = fmt.Fprintln(env.Stderr, "token from "+found.Source)
	}
	principal, err := tokenPrincipal(env, source)
	if err != nil {
		return err
	}
	if principal.RepositoryId == "" {
		return errors.New("the token has no repository ids: it is not a job's token of GitHub or GitLab")
	}
	if f.pins.Repository != "" && f.pins.Repository != principal.Repository {
		return fmt.Errorf("the token is of %s, not of %s", principal.Repository, f.pins.Repository)
	}
	f.pins.Repository, f.pins.RepositoryID = principal.Repository, principal.RepositoryId
	if f.pins.RepositoryOwnerID == "" {
		f.pins.RepositoryOwnerID = principal.RepositoryOwnerId
	}
	question := fmt.Sprintf("The token is not verified: anybody can write one. It says %s of %s: repository id %s, owner id %s.",
		principal.Repository, principal.Issuer, principal.RepositoryId, principal.RepositoryOwnerId)
	if f.yes {
		return nil
	}
	if f.token == "-" || !env.Interactive() {
		return fmt.Errorf("%s Say --yes if you know where it comes from", question)
	}
	_, _ = fmt.Fprintf(env.Stderr, "%s\nPin these ids? [y/N] ", question)
	answer, err := bufio.NewReader(env.Stdin).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return errors.New("nothing was changed")
	}
	return nil
}

// write replaces files of the folder, each at once, after all of them compile.
func (f *folder) write(changed map[string][]byte) error {
	next := map[string][]byte{}
	for name, raw := range f.files {
		next[name] = raw
		if c, ok := changed[name]; ok {
			next[name] = c
		}
	}
	before, _ := policy.Compile(f.files)
	if _, err := policy.Compile(next); err != nil && before != nil {
		return fmt.Errorf("nothing was changed, since the result would not compile (please report this): %w", err)
	}
	for name, raw := range changed {
		if err := replaceFile(f.path(name), raw); err != nil {
			return err
		}
	}
	return nil
}

func replaceFile(path string, raw []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone after the rename
	_, err = file.Write(raw)
	if err := errors.Join(err, file.Chmod(info.Mode().Perm()), file.Close()); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
