// Package initialise is gatestay init: it reads a target's catalog and writes a
// first configuration that somebody can go on from: masks for what looks
// sensitive, a policy, tests beside it, and gatestay.yaml.
package initialise

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const help = `Write a first configuration for a target: a policy (reads allowed, writes held,
schema changes denied, all else denied by default), tests beside it, masks for the
columns that look sensitive, people.yaml and gatestay.yaml, every line commented.

It signs in to the target, reads the catalog, and looks at a bounded sample of each
table (200 rows, at most two seconds a table, in a read-only transaction). The
sample stays in memory: it is neither stored nor printed, only counted. Without
--sample, with --sample 0, names, types and comments alone decide.

Existing files are never changed: init says which are there, and what it would have
written into them; --print writes everything to standard output instead.

The connection string may name a password, and then it is used and not written
anywhere. Better is --password env:NAME or file:PATH: that reference is also what
gatestay.yaml gets.`

const example = `  gatestay init --target prod-db --dsn postgres://app@db.internal/shop --password env:SHOP_PASSWORD
  gatestay init --target prod-db --dsn 'postgres://app@localhost/shop?sslmode=disable' --out gatestay \
      --repository acme/shop --repository-id 1001 --owner-id 2002 --approver U0DANA --channel C0PROD
  gatestay init --target prod-db --dsn postgres://app@db.internal/shop --print`

// options are the command line's.
type options struct {
	target, dsn, password, out, environment string
	repository, repositoryID, ownerID       string
	approvers                               []string
	channel                                 string
	sample                                  int
	timeout                                 time.Duration
	print                                   bool
}

var (
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	slackUser   = regexp.MustCompile(`^[UW][A-Z0-9]{2,}$`)
	channelForm = regexp.MustCompile(`^[CG][A-Z0-9]{2,}$`)
	idForm      = regexp.MustCompile(`^[0-9]+$`)
	repoForm    = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$`)
)

// maxSample bounds the rows read of each table.
const maxSample = 10_000

// Command returns gatestay init.
func Command(env *cli.Env) *cobra.Command {
	o := options{}
	c := &cobra.Command{
		Use: "init --target NAME --dsn URL", Short: "Write a first configuration for a target", Long: help, Example: example, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return run(c.Context(), env, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.target, "target", "", "name of the target, as jobs will say it")
	f.StringVar(&o.dsn, "dsn", "", "connection string, postgres://user@host:port/database[?sslmode=…]")
	f.StringVar(&o.password, "password", "", "the password's reference: env:NAME or file:PATH")
	f.StringVar(&o.out, "out", ".", "folder to write to")
	f.StringVar(&o.environment, "environment", "production", "the target's environment")
	f.StringVar(&o.repository, "repository", "", "GitHub repository whose jobs get access, owner/name")
	f.StringVar(&o.repositoryID, "repository-id", "", "its id, which is never reused (gh api repos/OWNER/NAME --jq .id)")
	f.StringVar(&o.ownerID, "owner-id", "", "its owner's id (gh api repos/OWNER/NAME --jq .owner.id)")
	f.StringSliceVar(&o.approvers, "approver", nil, "Slack user id of somebody who may approve writes (repeatable)")
	f.StringVar(&o.channel, "channel", "", "Slack channel id that approvals are posted to")
	f.IntVar(&o.sample, "sample", 200, "rows to look at in each table; 0 looks at none")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "limit of the whole")
	f.BoolVar(&o.print, "print", false, "write the files to standard output only")
	return c
}

func (o *options) validate() error {
	if o.target == "" || o.dsn == "" {
		return errors.New("name the target and its database: gatestay init --target prod-db --dsn postgres://app@db.internal/shop")
	}
	check := func(flag, value string, form *regexp.Regexp, want string) error {
		if value == "" || form.MatchString(value) {
			return nil
		}
		return fmt.Errorf("--%s %q: write %s", flag, value, want)
	}
	for _, err := range []error{
		check("target", o.target, nameForm, "letters, digits, - and _ only"),
		check("environment", o.environment, nameForm, "letters, digits, - and _ only"),
		check("repository", o.repository, repoForm, "owner/name"),
		check("repository-id", o.repositoryID, idForm, "the number that GitHub gave it"),
		check("owner-id", o.ownerID, idForm, "the number that GitHub gave the owner"),
		check("channel", o.channel, channelForm, "a Slack channel id such as C0123456789"),
	} {
		if err != nil {
			return err
		}
	}
	for _, a := range o.approvers {
		if err := check("approver", a, slackUser, "a Slack user id such as U0123456789"); err != nil {
			return err
		}
	}
	if o.sample < 0 || o.sample > maxSample {
		return fmt.Errorf("--sample %d: write a number of rows from 0 to %d", o.sample, maxSample)
	}
	if (o.repositoryID == "") != (o.ownerID == "") || o.repository == "" && o.repositoryID != "" {
		return fmt.Errorf("--repository, --repository-id and --owner-id belong together; leave the ids out to pin them later with 'gatestay policy pin'")
	}
	return nil
}

func run(ctx context.Context, env *cli.Env, o options) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	t, conn, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tables, err := readCatalog(ctx, conn)
	if err != nil {
		return err
	}
	s := sampler{conn: conn, rows: o.sample}
	s.run(ctx, tables)
	p := propose(tables)
	files, err := render(o, t, p, tables)
	if err != nil {
		return err
	}
	if o.print {
		return printFiles(env, files)
	}
	written, err := writeFiles(o.out, files)
	if err != nil {
		return err
	}
	return report{o: o, tables: tables, proposal: p, skipped: s.skipped, files: written}.print(env, ui.New(env, env.Stdout))
}
