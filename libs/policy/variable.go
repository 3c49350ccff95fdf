package policy

import (
	"math/bits"
	"strings"

	"cel.dev/cel-go/cel"

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
	commandComparisons
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
	commandWrites: "command.writes", commandColumns: "command.columns", commandFilters: "command.filters", commandComparisons: "command.comparisons", commandFunctions: "command.functions",
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
	case commandComparisons:
		return cel.ListType(cel.MapType(cel.StringType, cel.StringType))
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
	allVariables set = 1<<variables - 1
	// changing are those whose value is another one later in the same session.
	changing         set = 1 << sessionAge
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
			s |= commandColumns.set() | commandFilters.set() | commandComparisons.set()
		case "comparisons":
			s |= commandComparisons.set()
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
		case "settings": // no condition can ask for them
		default: // a fact this package does not know of: rather nothing is known
			s |= commandVariables
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
			commandComparisons.set() | commandFiltered.set() | commandCatalog.set()
	}
	return s &^ commandUnknown.set()
}

// assertedFields returns the variables that the caller merely said: some of the
// principal's, and always the reason.
func assertedFields(p *eventv1.Principal) set {
	s := sessionReason.set()
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
