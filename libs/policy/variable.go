package policy

import (
	"math/bits"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// variable is one thing that a condition can ask about. Variables are
// declared one by one under their full name ("command.class"), so that a
// misspelt field is a compile error and looking one up costs a switch.
type variable int

const (
	principalIssuer variable = iota
	principalSubject
	principalPreset
	principalRepository
	principalRepositoryID
	principalRepositoryOwnerID
	principalWorkflow
	principalRunID
	principalRef
	principalEnvironment
	principalEvent
	principalActor
	principalAgent
	principalOnBehalfOf
	principalClaims
	targetName
	targetEnvironment
	targetProtocol
	targetDatabase
	sessionID
	sessionAge
	sessionReason
	commandVerb
	commandClass
	commandObjects
	commandReads
	commandWrites
	commandColumns
	commandFilters
	commandFunctions
	commandFiltered
	commandCatalog
	commandTransaction
	commandUnknown
	variables // how many
)

// variableNames holds the variables' full names, by number.
var variableNames = [variables]string{
	principalIssuer: "principal.issuer", principalSubject: "principal.subject", principalPreset: "principal.preset",
	principalRepository: "principal.repository", principalRepositoryID: "principal.repository_id", principalRepositoryOwnerID: "principal.repository_owner_id",
	principalWorkflow: "principal.workflow", principalRunID: "principal.run_id", principalRef: "principal.ref",
	principalEnvironment: "principal.environment", principalEvent: "principal.event", principalActor: "principal.actor",
	principalAgent: "principal.agent", principalOnBehalfOf: "principal.on_behalf_of", principalClaims: "principal.claims",
	targetName: "target.name", targetEnvironment: "target.environment", targetProtocol: "target.protocol", targetDatabase: "target.database",
	sessionID: "session.id", sessionAge: "session.age_seconds", sessionReason: "session.reason",
	commandVerb: "command.verb", commandClass: "command.class", commandObjects: "command.objects", commandReads: "command.reads",
	commandWrites: "command.writes", commandColumns: "command.columns", commandFilters: "command.filters", commandFunctions: "command.functions",
	commandFiltered: "command.filtered", commandCatalog: "command.catalog", commandTransaction: "command.transaction", commandUnknown: "command.unknown",
}

// variableByName is variableNames turned round.
var variableByName = func() map[string]variable {
	m := make(map[string]variable, variables)
	for v, name := range variableNames {
		m[name] = variable(v)
	}
	return m
}()

func (v variable) celType() *cel.Type {
	switch v {
	case principalClaims:
		return cel.MapType(cel.StringType, cel.StringType)
	case sessionAge:
		return cel.IntType
	case commandObjects, commandReads, commandWrites, commandColumns, commandFilters, commandFunctions, commandUnknown:
		return cel.ListType(cel.StringType)
	case commandFiltered, commandCatalog:
		return cel.BoolType
	default:
		return cel.StringType
	}
}

// set is a set of variables.
type set uint64

func (v variable) set() set       { return 1 << v }
func (s set) has(v variable) bool { return s&v.set() != 0 }

const (
	allVariables     set = 1<<variables - 1
	reasonVariable   set = 1 << sessionReason
	sessionVariables set = 1<<(sessionReason+1) - 1<<sessionID
	commandVariables set = 1<<(commandUnknown+1) - 1<<commandVerb
)

// each calls f for every variable of the set, in order.
func (s set) each(f func(variable)) {
	for s != 0 {
		v := bits.TrailingZeros64(uint64(s))
		f(variable(v))
		s &^= 1 << v
	}
}

// unknownFacts returns the command variables that are not known. What has an
// unknown class may touch anything, so its objects are not known either.
func unknownFacts(f *command.Facts) set {
	if f == nil {
		return commandVariables &^ commandUnknown.set()
	}
	var s set
	for _, name := range f.Unknown {
		switch name {
		case "verb":
			s |= commandVerb.set()
		case "class":
			s |= commandClass.set()
		case "objects", "reads", "writes":
			s |= commandObjects.set() | commandReads.set() | commandWrites.set() | commandCatalog.set()
		case "columns":
			s |= commandColumns.set() | commandFilters.set()
		case "filters":
			s |= commandFilters.set()
		case "functions":
			s |= commandFunctions.set()
		case "filtered":
			s |= commandFiltered.set()
		case "catalog":
			s |= commandCatalog.set()
		case "transaction":
			s |= commandTransaction.set()
		}
	}
	if f.Class == command.Unknown || f.Class == "" {
		s |= commandClass.set()
		if len(f.Unknown) == 0 {
			s |= commandVariables
		}
	}
	if s.has(commandClass) {
		s |= commandObjects.set() | commandReads.set() | commandWrites.set() | commandColumns.set() | commandFilters.set() |
			commandFiltered.set() | commandCatalog.set()
	}
	return s &^ commandUnknown.set()
}

// assertedFields returns the principal's variables that the caller merely said.
func assertedFields(p *eventv1.Principal) set {
	if len(p.GetAsserted()) == 0 {
		return 0
	}
	var s set
	for _, name := range p.GetAsserted() {
		if strings.HasPrefix(name, "claims") {
			s |= principalClaims.set()
		}
		for v := principalIssuer; v <= principalClaims; v++ {
			if variableNames[v] == "principal."+name {
				s |= v.set()
			}
		}
	}
	return s
}

// activation gives a condition its values. Lists are made once a decision.
type activation struct {
	in      *Input
	unknown set // facts
	hidden  set // fields that appear as if they had not been said
	lists   [variables]ref.Val
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
	p, f := a.in.Principal, a.in.Facts
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
	case principalClaims:
		return types.NewStringStringMap(types.DefaultTypeAdapter, p.GetClaims())
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
	case sessionReason:
		return types.String(a.in.Session.Reason)
	}
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
	case commandUnknown:
		return a.unknownNames()
	}
	return nil
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

func columns(cs []command.Column) []string {
	out := make([]string, 0, len(cs))
	for _, c := range cs {
		name := c.Name
		if c.Table != "" {
			name = c.Table + "." + name
		}
		if c.Schema != "" {
			name = c.Schema + "." + name
		}
		out = append(out, name)
	}
	return out
}
