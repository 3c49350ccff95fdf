// Package folder reads the policy folder and says whether it may be published:
// it compiles, its own tests pass, and it fits the bus.
package folder

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/policy"
)

// maxBundle bounds a bundle's files in bytes: a message of the bus holds 1 MiB.
const maxBundle = 768 << 10

// Snapshot is the folder at one moment.
type Snapshot struct {
	Raw      [32]byte          // hash of every file, tests included
	Files    map[string][]byte // what a bundle carries
	Hash     [32]byte          // of Files
	Engine   *policy.Engine    // nil where the folder is broken
	Problems []policy.Problem  // empty: may be published
	Findings []policy.Finding
	Tests    int // cases run

	all map[string][]byte // tests included
}

// Read reads and judges the folder. around is what rules are checked against.
func Read(dir string, around policy.Surroundings, facts policy.FactsFunc) *Snapshot {
	all, err := config.ReadDir(dir)
	if err != nil {
		return &Snapshot{Problems: []policy.Problem{{File: dir, What: "the folder cannot be read: " + err.Error(), Remedy: "check that it exists and that the service may read it"}}}
	}
	s := &Snapshot{Raw: config.HashFiles(all), Files: map[string][]byte{}, all: all}
	size := 0
	for name, raw := range all {
		if strings.HasPrefix(name, policy.ShiftsDir) {
			s.Problems = append(s.Problems, policy.Problem{File: name, What: "this folder is the policy service's own, for what it reads of calendars", Remedy: "remove it: write shifts into " + policy.ScheduleFile})
			return s
		}
		if !policy.IsTestFile(name) {
			s.Files[name] = raw
			size += len(raw) + len(name)
		}
	}
	s.Hash = config.HashFiles(s.Files)
	if size > maxBundle {
		s.Problems = append(s.Problems, policy.Problem{File: dir, What: fmt.Sprintf("the files hold %d bytes", size), Remedy: fmt.Sprintf("a bundle holds at most %d: merge rules that differ by repository only", maxBundle)})
		return s
	}
	s.judge(all, around, facts)
	return s
}

// WithPeople returns the folder as it is with another people map, judged anew;
// empty is without one.
func (s *Snapshot) WithPeople(people []byte, around policy.Surroundings, facts policy.FactsFunc) *Snapshot {
	n := &Snapshot{Raw: s.Raw, Files: maps.Clone(s.Files), all: maps.Clone(s.all)}
	for _, files := range []map[string][]byte{n.Files, n.all} {
		delete(files, policy.PeopleFile)
		if len(people) > 0 {
			files[policy.PeopleFile] = people
		}
	}
	n.Hash = config.HashFiles(n.Files)
	n.judge(n.all, around, facts)
	return n
}

// WithShifts returns the folder with files that say what was read of the schedule's
// calendars, judged anew.
func (s *Snapshot) WithShifts(files map[string][]byte, around policy.Surroundings, facts policy.FactsFunc) *Snapshot {
	n := &Snapshot{Raw: s.Raw, Files: maps.Clone(s.Files), all: s.all}
	maps.Copy(n.Files, files)
	n.Hash = config.HashFiles(n.Files)
	n.judge(n.all, around, facts)
	if len(n.Problems) == 0 {
		n.Findings = s.Findings // those of the people map, too
	}
	return n
}

func (s *Snapshot) judge(all map[string][]byte, around policy.Surroundings, facts policy.FactsFunc) {
	engine, err := policy.Compile(s.Files)
	if err != nil {
		s.Problems = problems(err)
		return
	}
	s.Engine = engine
	s.Findings = policy.Check(engine, around)
	results, err := engine.Test(all, around.Targets, facts)
	if err != nil {
		s.Problems = problems(err)
		return
	}
	s.Tests = len(results)
	for _, r := range results {
		if !r.Passed() {
			s.Problems = append(s.Problems, policy.Problem{
				File: r.Case.File, Line: r.Case.Line, Column: 1, What: fmt.Sprintf("case %q fails: %s", r.Case.Name, strings.Join(r.Failures, ", ")),
				Remedy: "correct the rule or the case; try it with 'gatestay policy test'",
			})
		}
	}
}

func problems(err error) []policy.Problem {
	var p *policy.ProblemsError
	if errors.As(err, &p) {
		return p.Problems
	}
	return []policy.Problem{{File: ".", What: err.Error(), Remedy: "report this"}}
}

// Targets returns the configured targets as rules see them.
func Targets(cfg *config.Config) []policy.Target {
	out := make([]policy.Target, 0, len(cfg.Targets))
	for name, t := range cfg.Targets {
		out = append(out, policy.Target{Name: name, Environment: t.Environment, Protocol: t.Protocol, Database: t.Database})
	}
	return out
}

// Surroundings returns what a configuration says about rules' surroundings.
func Surroundings(cfg *config.Config) policy.Surroundings {
	s := policy.Surroundings{Targets: Targets(cfg), PeopleChanges: cfg.Policy.Changes()}
	for _, i := range cfg.Issuers {
		s.Issuers = append(s.Issuers, policy.Issuer{URL: i.Issuer, Preset: i.Preset})
	}
	return s
}
