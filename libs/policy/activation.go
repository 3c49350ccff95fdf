package policy

import (
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// activation gives a condition its values. Lists are made once a decision.
type activation struct {
	in      *Input
	unknown set // facts
	hidden  set // fields that appear as if they had not been said
	// atAnyTime: the question is of all hours.
	atAnyTime bool
	lists     [variables]ref.Val
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	v, ok := variableByName[name]
	if !ok {
		return nil, false
	}
	return a.value(v), true
}

func (a *activation) value(v variable) ref.Val {
	if a.hidden != 0 && a.hidden.has(v) {
		if v == principalClaims {
			return types.NewStringStringMap(types.DefaultTypeAdapter, nil)
		}
		return types.String("")
	}
	switch {
	case v <= principalClaims:
		return principalValue(v, a.in.Principal)
	case v >= commandVerb:
		return a.commandValue(v)
	}
	switch v {
	case targetName:
		return types.String(a.in.Target.Name)
	case targetEnvironment:
		return types.String(a.in.Target.Environment)
	case targetProtocol:
		return types.String(a.in.Target.Protocol)
	case targetDatabase:
		return types.String(a.in.Target.Database)
	case sessionID:
		return types.String(a.in.Session.ID)
	case sessionAge:
		return types.Int(a.in.Session.Age.Seconds())
	default:
		return types.String(a.in.Session.Reason)
	}
}

func principalValue(v variable, p *eventv1.Principal) ref.Val {
	switch v {
	case principalIssuer:
		return types.String(p.GetIssuer())
	case principalSubject:
		return types.String(p.GetSubject())
	case principalPreset:
		return types.String(p.GetPreset())
	case principalRepository:
		return types.String(p.GetRepository())
	case principalRepositoryID:
		return types.String(p.GetRepositoryId())
	case principalRepositoryOwnerID:
		return types.String(p.GetRepositoryOwnerId())
	case principalWorkflow:
		return types.String(p.GetWorkflow())
	case principalRunID:
		return types.String(p.GetRunId())
	case principalRef:
		return types.String(p.GetRef())
	case principalEnvironment:
		return types.String(p.GetEnvironment())
	case principalEvent:
		return types.String(p.GetEvent())
	case principalActor:
		return types.String(p.GetActor())
	case principalAgent:
		return types.String(p.GetAgent())
	case principalOnBehalfOf:
		return types.String(p.GetOnBehalfOf())
	default:
		return types.NewStringStringMap(types.DefaultTypeAdapter, p.GetClaims())
	}
}

func (a *activation) commandValue(v variable) ref.Val {
	f := a.in.Facts
	if f == nil {
		f = &command.Facts{}
	}
	switch v {
	case commandVerb:
		return types.String(f.Verb)
	case commandClass:
		return types.String(f.Class)
	case commandFiltered:
		return types.Bool(f.Filtered)
	case commandCatalog:
		return types.Bool(f.Catalog)
	case commandTransaction:
		return types.String(f.Transaction)
	default:
	}
	if v == commandComparisons && a.lists[v] == nil {
		a.lists[v] = comparisons(f)
	}
	if a.lists[v] == nil {
		a.lists[v] = types.NewStringList(types.DefaultTypeAdapter, a.list(v, f))
	}
	return a.lists[v]
}

func (a *activation) list(v variable, f *command.Facts) []string {
	switch v {
	case commandObjects:
		return objects(f, func(command.Class) bool { return true })
	case commandReads:
		return objects(f, func(c command.Class) bool { return c == command.Read })
	case commandWrites:
		return objects(f, func(c command.Class) bool { return c != command.Read })
	case commandColumns:
		return columns(f.Columns)
	case commandFilters:
		return columns(f.Filters)
	case commandFunctions:
		return f.Functions
	default: // commandUnknown
		return a.unknownNames()
	}
}

func (a *activation) unknownNames() []string {
	var out []string
	a.unknown.each(func(v variable) {
		out = append(out, strings.TrimPrefix(variableNames[v], "command."))
	})
	return out
}

func objects(f *command.Facts, want func(command.Class) bool) []string {
	out := make([]string, 0, len(f.Objects))
	for _, o := range f.Objects {
		if s := o.String(); want(o.Access) && !contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// comparisons gives each use of a column once: {"column": "public.t.c", "kind": "range"}.
func comparisons(f *command.Facts) ref.Val {
	type use struct {
		column string
		kind   command.Use
	}
	seen := map[use]bool{}
	out := make([]map[string]string, 0, len(f.Comparisons))
	for _, c := range f.Comparisons {
		u := use{columnName(c.Column), c.Use}
		if !seen[u] {
			seen[u] = true
			out = append(out, map[string]string{"column": u.column, "kind": string(u.kind)})
		}
	}
	return types.DefaultTypeAdapter.NativeToValue(out)
}

func columns(cs []command.Column) []string {
	out := make([]string, 0, len(cs))
	for _, c := range cs {
		out = append(out, columnName(c))
	}
	return out
}

func columnName(c command.Column) string {
	name := c.Name
	if c.Table != "" {
		name = c.Table + "." + name
	}
	if c.Schema != "" {
		name = c.Schema + "." + name
	}
	return name
}
