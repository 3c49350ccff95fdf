package policy

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Target is what a command is about, as far as rules can see.
type Target struct {
	Name        string
	Environment string
	Protocol    string
	Database    string
}

// Session is the session that a command is part of.
type Session struct {
	ID     string
	Age    time.Duration
	Reason string // as the caller gave it
}

// Input is all that a decision is made from.
type Input struct {
	Principal *eventv1.Principal
	Target    Target
	Session   Session
	Facts     *command.Facts // nil: nothing is known
	// At is the moment of the decision, by the caller's clock.
	At time.Time
}

// Engine is a compiled set of policy files. It is safe for concurrent use and
// never changes; a new set of files is a new Engine.
type Engine struct {
	rules   []*rule // by name
	freezes []*rule // by name
	people  *People

	indexes     sync.Map // indexKey → *index
	indexesHeld atomic.Int64
	sentences   sentences
}

// maxIndexes bounds the memory that indexes take: more targets than this are
// decided without one.
const maxIndexes = 1024

// IsRuleFile reports whether a file of the policy folder holds rules: it is
// neither the people map, the schedule, nor a test.
func IsRuleFile(name string) bool {
	ext := path.Ext(name)
	return (ext == ".yaml" || ext == ".yml") && name != PeopleFile && name != ScheduleFile && !strings.HasPrefix(name, ShiftsDir) && !IsTestFile(name)
}

// IsTestFile reports whether a file of the policy folder holds test cases.
func IsTestFile(name string) bool {
	return strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")
}

// Compile reads the files of a policy folder, keyed by their slash-separated
// path in it: rule files and people.yaml; tests are left out. The error is a
// *ProblemsError with every problem of every file.
func Compile(files map[string][]byte) (*Engine, error) {
	conditions, err := newConditions()
	if err != nil {
		return nil, err
	}
	e := &Engine{people: &People{}}
	var problems []Problem
	var planned schedule
	found := false
	for _, name := range sortedNames(files) {
		s := &source{file: name}
		switch {
		case name == PeopleFile:
			e.people = s.people(files[name])
		case name == ScheduleFile:
			planned = s.schedule(files[name])
		case IsRuleFile(name):
			found = true
			rules, freezes := s.rules(files[name], conditions)
			e.rules, e.freezes = append(e.rules, rules...), append(e.freezes, freezes...)
		}
		problems = append(problems, s.problems...)
	}
	if !found {
		problems = append(problems, Problem{File: ".", What: "no rule file", Remedy: `write one; "rules: []" in a file denies everything`})
	}
	e.people.schedule = planned
	problems = append(problems, e.across()...)
	problems = append(problems, e.checkSchedule()...)
	problems = append(problems, e.takeShifts(files)...)
	if len(problems) > 0 {
		sortProblems(problems)
		return nil, &ProblemsError{Problems: problems}
	}
	for _, list := range [][]*rule{e.rules, e.freezes} {
		sort.SliceStable(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	}
	return e, nil
}

// across finds the problems that only all files together show.
func (e *Engine) across() []Problem {
	var problems []Problem
	seen := map[string]*rule{}
	for _, r := range slices.Concat(e.rules, e.freezes) {
		s := &source{file: r.File, rule: r.Name}
		if first := seen[r.Name]; first != nil && r.Name != "" {
			s.bad(r.nodes["name"], fmt.Sprintf("the name is taken by the rule in %s:%d", first.File, first.Line), "names are unique over all files: rename one of them")
		}
		seen[r.Name] = r
		if a := r.Approvers; a != nil {
			e.checkApprovers(s, r)
		}
		problems = append(problems, s.problems...)
	}
	return problems
}

// Rules returns all rules by name.
func (e *Engine) Rules() []Rule {
	out := make([]Rule, len(e.rules))
	for i, r := range e.rules {
		out[i] = r.Rule
	}
	return out
}

// People returns the people map.
func (e *Engine) People() *People { return e.people }

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Hashes returns the hash of every rule, and of every freeze, by name.
func (e *Engine) Hashes() map[string]string {
	out := make(map[string]string, len(e.rules))
	for _, r := range slices.Concat(e.rules, e.freezes) {
		out[r.Name] = r.hash
	}
	return out
}
