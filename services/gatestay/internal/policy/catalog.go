package policy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/pgcatalog"
	"github.com/gatestay/gatestay/libs/policy"
)

// connectLimit bounds one sign-in and its catalog.
const connectLimit = 30 * time.Second

// catalog is what a target's server says of itself.
type catalog struct {
	snapshot   *postgres.Snapshot
	searchPath []string
	masks      *masking.Engine
}

// readCatalog signs in to a target as the gateway would.
func (f *folder) readCatalog(ctx context.Context, name string) (*catalog, error) {
	if f.cfg == nil {
		return nil, errors.New("--catalog needs the targets' addresses: name the configuration with --config")
	}
	t, ok := f.cfg.Targets[name]
	if !ok {
		return nil, fmt.Errorf("target %q is not in %s", name, f.cfg.File)
	}
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	conn, err := connect(ctx, f.cfg, t)
	if err != nil {
		return nil, fmt.Errorf("catalog of %s: %w", name, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	c := &catalog{}
	if err := conn.QueryRow(ctx, "SELECT current_schemas(false)::text[]").Scan(&c.searchPath); err != nil {
		return nil, fmt.Errorf("catalog of %s: %w", name, err)
	}
	if c.snapshot, err = pgcatalog.Load(ctx, conn); err != nil {
		return nil, fmt.Errorf("catalog of %s: %w", name, err)
	}
	return c, nil
}

func connect(ctx context.Context, cfg *config.Config, t config.Target) (*pgx.Conn, error) {
	mode := t.TLS
	if mode == "" {
		mode = "verify-full"
	}
	query := url.Values{"sslmode": {mode}, "application_name": {"gatestay policy"}}
	if t.CA != "" {
		query.Set("sslrootcert", cfg.Path(t.CA))
	}
	if _, _, err := net.SplitHostPort(t.Address); err != nil {
		return nil, fmt.Errorf("address %q: %w", t.Address, err)
	}
	u := url.URL{Scheme: "postgres", User: url.User(t.User), Host: t.Address, Path: "/" + t.Database, RawQuery: query.Encode()}
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, errors.New("its address or TLS files cannot be used") // the error quotes the whole address
	}
	if t.Password != "" {
		if c.Password, err = t.Password.Resolve(cfg.Dir); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("sign in as %s at %s: %w", t.User, t.Address, err)
	}
	return conn, nil
}

// facts reads facts with the catalog's knowledge, as a gateway does.
func (c *catalog) facts(t policy.Target, sql string) ([]command.Facts, error) {
	statements, err := postgres.Parse(sql)
	if err != nil {
		return nil, err
	}
	known := postgres.NewCatalog(c.snapshot)
	out := make([]command.Facts, 0, len(statements))
	var masks *postgres.Masks
	if c.masks != nil {
		columns := []command.Column{}
		for _, m := range c.masks.Columns(t.Name) {
			columns = append(columns, command.Column{Schema: m.Schema, Table: m.Table, Name: m.Name})
		}
		masks = known.Masks(columns)
	}
	for _, s := range statements {
		f := known.Resolve(s.Facts, c.searchPath, "")
		if f.Compared = []command.Compared{}; masks != nil {
			f.Compared = append(f.Compared, masks.Compared(&f)...)
		}
		out = append(out, f)
	}
	return out, nil
}

// checkCatalogs compares masks and conditions with what the targets have.
func (f *folder) checkCatalogs(ctx context.Context, e *policy.Engine, masks *masking.Engine) ([]policy.Finding, error) {
	if f.cfg == nil {
		return nil, errors.New("--catalog needs the targets' addresses: name the configuration with --config")
	}
	var out []policy.Finding
	for _, t := range f.around.Targets {
		if t.Protocol != "postgres" {
			continue
		}
		c, err := f.readCatalog(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		names := c.names()
		if masks != nil {
			out = append(out, maskFindings(masks, t, names)...)
		}
		out = append(out, mentionFindings(e, t, names)...)
	}
	return out, nil
}

// names are a catalog's tables and columns, as conditions and masks write them.
type names struct {
	tables, columns []string
	all             []masking.Column
}

func (c *catalog) names() names {
	var n names
	for _, r := range c.snapshot.Relations {
		if r.Schema == "pg_catalog" || r.Schema == "information_schema" {
			continue
		}
		table := r.Schema + "." + r.Name
		n.tables = append(n.tables, table)
		for _, col := range r.Columns {
			n.columns = append(n.columns, table+"."+col.Name)
			n.all = append(n.all, masking.Column{Schema: r.Schema, Table: r.Name, Name: col.Name})
		}
	}
	return n
}

// maskFindings tells masks whose column a target does not have as they name it.
func maskFindings(masks *masking.Engine, t policy.Target, have names) []policy.Finding {
	var out []policy.Finding
	for _, c := range masks.Columns(t.Name) {
		exact, other := false, ""
		for _, o := range have.all {
			if c.Covers(o) {
				exact = exact || c.Name == o.Name && c.Table == o.Table && (c.Schema == "" || c.Schema == o.Schema)
				other = o.String()
			}
		}
		found := policy.Finding{Kind: policy.FoundMaskColumn, Target: t.Name}
		switch {
		case exact:
			continue
		case other != "":
			found.What = "a mask names column " + c.String() + ", which the target has in another letter case only: it is masked all the same"
			found.Remedy = "quote it as SQL would, in single quotes for YAML: column: '" + other + "'"
		default:
			found.What = "a mask names column " + c.String() + ", which the target does not have: what may be it is masked whole"
			found.Remedy = nearestRemedy(c.String(), have.columns)
		}
		out = append(out, found)
	}
	return out
}

func mentionFindings(e *policy.Engine, t policy.Target, have names) []policy.Finding {
	var out []policy.Finding
	for _, m := range e.Mentions() {
		known, kind := have.tables, "table"
		if m.Column {
			known, kind = have.columns, "column"
		}
		if !m.Rule.Covers(t) || contains(known, m.Name) || strings.HasPrefix(m.Name, "pg_catalog.") || strings.HasPrefix(m.Name, "information_schema.") {
			continue
		}
		out = append(out, policy.Finding{
			Kind: policy.FoundMissingName, File: m.Rule.File, Line: m.Rule.Line, Column: m.Rule.Column, Rule: m.Rule.Name, Target: t.Name,
			What: "its condition names " + kind + " " + m.Name + ", which " + t.Name + " does not have", Remedy: nearestRemedy(m.Name, known),
		})
	}
	return out
}

func nearestRemedy(name string, known []string) string {
	if n := policy.NearestName(name, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "correct the name, with its schema, or remove it"
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
