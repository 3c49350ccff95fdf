package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

var (
	testKeys        = []string{"principals", "cases"}
	caseKeys        = []string{"name", "principal", "target", "sql", "facts", "session", "rehearsal", "at", "expect"}
	casePrincipal   = []string{"issuer", "subject", "preset", "repository", "repository_id", "repository_owner_id", "workflow", "run_id", "ref", "environment", "event", "actor", "triggering_actor", "agent", "on_behalf_of", "claims", "asserted"}
	caseTargetKeys  = []string{"name", "environment", "protocol", "database"}
	caseSessionKeys = []string{"id", "age", "reason"}
	caseFactKeys    = []string{"verb", "class", "reads", "writes", "columns", "filters", "functions", "filtered", "catalog", "transaction", "masked_copies", "unknown"}
	caseRehearsal   = []string{"rows", "tables", "total"}
	expectKeys      = []string{"effect", "rule", "reason", "row_limit", "byte_limit", "approvers", "deadline", "hold_in_transaction", "break_glass", "approve_if"}
)

// caseReader reads test files.
type caseReader struct {
	source
	engine     *Engine
	targets    []Target
	principals map[string]*eventv1.Principal
}

func (r *caseReader) read(raw []byte) []Case {
	root := r.root(raw)
	if root == nil {
		return nil
	}
	r.principals = map[string]*eventv1.Principal{}
	var list ast.Node
	for _, e := range r.entries(root, "a test file", testKeys) {
		if e.key == "cases" {
			list = e.value
			continue
		}
		for _, named := range r.entries(e.value, "principals", nil) {
			r.principals[named.key] = r.principal(named.value)
		}
	}
	if list == nil {
		r.bad(root, "a test file without cases", "add cases: and a list of them")
		return nil
	}
	var cases []Case
	for _, n := range r.list(list, "cases") {
		before := len(r.problems)
		if c := r.testCase(n); len(r.problems) == before {
			cases = append(cases, c)
		}
	}
	return cases
}

func (r *caseReader) testCase(n ast.Node) Case {
	c := Case{File: r.file, seen: map[string]bool{}}
	c.Line, _ = place(n)
	has := map[string]bool{}
	for _, e := range r.entries(n, "a case", caseKeys) {
		has[e.key] = true
		switch e.key {
		case "name":
			c.Name = r.text(e.value, "name")
		case "principal":
			c.input.Principal = r.namedPrincipal(e.value)
		case "target":
			c.input.Target = r.target(e.value)
		case "sql":
			c.SQL = r.text(e.value, "sql")
		case "facts":
			c.facts = r.facts(e.value)
		case "session":
			c.input.Session = r.session(e.value)
		case "at":
			c.input.At = r.moment(e.value, "at")
		case "rehearsal":
			c.measured = r.measured(e.value)
		case "expect":
			r.expect(e.value, &c)
		}
	}
	for _, key := range []string{"name", "principal", "target", "expect"} {
		if !has[key] {
			r.bad(n, "a case without "+key, "add "+key+":")
		}
	}
	if has["sql"] == has["facts"] {
		r.bad(n, "a case says either sql or facts", "add sql: with the statement to decide")
	}
	if c.seen["approve_if"] && c.measured == nil {
		r.bad(n, "a case that expects approve_if without a rehearsal", "add rehearsal: {rows: 12, tables: [public.orders]}")
	}
	return c
}

func (r *caseReader) namedPrincipal(n ast.Node) *eventv1.Principal {
	if kind(n) != "text" {
		return r.principal(n)
	}
	name := r.text(n, "principal")
	p := r.principals[name]
	if p == nil {
		remedy := "define it under principals:, or write its fields here"
		if n := nearest(name, slices.Sorted(maps.Keys(r.principals))); n != "" {
			remedy = fmt.Sprintf("did you mean %q?", n)
		}
		r.bad(n, fmt.Sprintf("principal %q is not defined in this file", name), remedy)
	}
	return p
}

func (r *caseReader) principal(n ast.Node) *eventv1.Principal {
	p := &eventv1.Principal{}
	fields := principalFields(p)
	for _, e := range r.entries(n, "a principal", casePrincipal) {
		switch e.key {
		case "claims":
			p.Claims = map[string]string{}
			for _, claim := range r.entries(e.value, "claims", nil) {
				p.Claims[claim.key], _ = r.scalar(claim.value, "a claim")
			}
		case "asserted":
			p.Asserted = r.texts(e.value, "asserted")
		default:
			*fields[e.key] = r.id(e.value, e.key)
		}
	}
	return p
}

func (r *caseReader) target(n ast.Node) Target {
	t := Target{Protocol: "postgres"}
	if kind(n) == "text" {
		t.Name = r.text(n, "target")
	} else {
		fields := map[string]*string{"name": &t.Name, "environment": &t.Environment, "protocol": &t.Protocol, "database": &t.Database}
		for _, e := range r.entries(n, "a target", caseTargetKeys) {
			*fields[e.key] = r.text(e.value, e.key)
		}
	}
	for _, known := range r.targets {
		if known.Name != t.Name {
			continue
		}
		if t.Environment == "" {
			t.Environment = known.Environment
		}
		if t.Database == "" {
			t.Database = known.Database
		}
	}
	return t
}

func (r *caseReader) session(n ast.Node) Session {
	var s Session
	for _, e := range r.entries(n, "session", caseSessionKeys) {
		switch e.key {
		case "id":
			s.ID = r.text(e.value, "id")
		case "age":
			s.Age = r.duration(e.value, "age", 10000*time.Hour)
		case "reason":
			s.Reason = r.text(e.value, "reason")
		}
	}
	return s
}

// measured reads what a rehearsal would have measured.
func (r *caseReader) measured(n ast.Node) *Measured {
	m := &Measured{}
	for _, e := range r.entries(n, "rehearsal", caseRehearsal) {
		switch e.key {
		case "rows":
			m.Rows = uint64(max(r.number(e.value, "rows", 0, maxRowLimit), 0))
		case "total":
			m.Total = uint64(max(r.number(e.value, "total", 0, maxRowLimit), 0))
		case "tables":
			m.Tables = r.texts(e.value, "tables")
		}
	}
	return m
}

func (r *caseReader) facts(n ast.Node) *command.Facts {
	f := &command.Facts{Filtered: true}
	named := func(list []string, access command.Class) {
		for _, name := range list {
			o := command.Object{Name: name, Access: access}
			if schema, rest, ok := strings.Cut(name, "."); ok {
				o.Schema, o.Name = schema, rest
			}
			f.Objects = append(f.Objects, o)
		}
	}
	for _, e := range r.entries(n, "facts", caseFactKeys) {
		switch e.key {
		case "verb":
			f.Verb = r.text(e.value, e.key)
		case "class":
			f.Class = command.Class(r.text(e.value, e.key))
		case "reads":
			named(r.texts(e.value, e.key), command.Read)
		case "writes":
			named(r.texts(e.value, e.key), command.Write)
		case "columns":
			f.Columns = columnsOf(r.texts(e.value, e.key))
		case "filters":
			f.Filters = columnsOf(r.texts(e.value, e.key))
		case "functions":
			f.Functions = r.texts(e.value, e.key)
		case "filtered":
			f.Filtered = r.boolean(e.value, e.key)
		case "catalog":
			f.Catalog = r.boolean(e.value, e.key)
		case "masked_copies":
			for _, c := range columnsOf(r.texts(e.value, e.key)) {
				f.Copies = append(f.Copies, command.Copy{From: c, To: command.Column{Name: "elsewhere"}})
			}
		case "transaction":
			f.Transaction = r.text(e.value, e.key)
		case "unknown":
			f.Unknown = r.texts(e.value, e.key)
		}
	}
	return f
}

func columnsOf(names []string) []command.Column {
	out := make([]command.Column, 0, len(names))
	for _, name := range names {
		parts := strings.Split(name, ".")
		c := command.Column{Name: parts[len(parts)-1]}
		if len(parts) > 1 {
			c.Table = parts[len(parts)-2]
		}
		if len(parts) > 2 {
			c.Schema = parts[len(parts)-3]
		}
		out = append(out, c)
	}
	return out
}

func (r *caseReader) expect(n ast.Node, c *Case) {
	x := &c.expect
	entries := []entry{{key: "effect", value: n}}
	if kind(n) != "text" {
		entries = r.entries(n, "expect", expectKeys)
	}
	for _, e := range entries {
		c.seen[e.key] = true
		switch e.key {
		case "effect":
			t := r.text(e.value, "effect")
			if !contains(effects, t) {
				r.bad(e.value, fmt.Sprintf("effect %q is not known", t), didYouMean(t, effects))
			}
			x.Effect = Effect(t)
		case "rule":
			x.Rule = r.text(e.value, "rule")
			r.knownRule(e.value, x.Rule)
		case "reason":
			if t := r.text(e.value, "reason"); t != "required" {
				r.bad(e.value, fmt.Sprintf("reason %q is not known", t), `write "reason: required", or leave the key out`)
			}
			x.ReasonRequired = true
		case "row_limit":
			x.RowLimit = r.number(e.value, "row_limit", 0, maxRowLimit)
		case "byte_limit":
			x.ByteLimit = r.number(e.value, "byte_limit", 0, maxByteLimit)
		case "break_glass":
			x.BreakGlass = r.glassWord(e.value)
		case "approvers":
			x.Approvers = r.approvers(e.value)
		case "deadline":
			x.Deadline = r.duration(e.value, "deadline", maxDeadline)
		case "approve_if":
			x.ApproveIf = r.boolean(e.value, "approve_if")
		case "hold_in_transaction":
			x.HoldInTransaction = r.duration(e.value, "hold_in_transaction", maxHoldInTransaction)
		}
	}
	if !c.seen["effect"] {
		r.bad(n, "expect without an effect", "add effect: allow, hold or deny")
	}
}

func (r *caseReader) knownRule(n ast.Node, name string) {
	if name == "" {
		return
	}
	known := make([]string, 0, len(r.engine.rules))
	for _, rule := range r.engine.rules {
		if rule.Name == name {
			return
		}
		known = append(known, rule.Name)
	}
	r.bad(n, fmt.Sprintf("there is no rule %q", name), didYouMean(name, known))
}
