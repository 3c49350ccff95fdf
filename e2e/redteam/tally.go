package redteam

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Result is what a run showed of one class.
type Result struct {
	Class
	Tests  int    `json:"tests"`  // test functions
	Cases  int    `json:"cases"`  // attacks: sub-tests, or the function where it has none
	Passed int    `json:"passed"` // of the cases
	Status string `json:"status"` // passed, failed, not yet
}

// The values of Result.Status.
const (
	Passed = "passed"
	Failed = "failed"
	NotYet = "not yet"
)

// Tally is a whole run.
type Tally struct {
	Results  []Result
	Failures []string // tests and packages that failed, each with its output
}

// OK reports whether nothing failed.
func (t *Tally) OK() bool { return len(t.Failures) == 0 }

// event is one line of `go test -json`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

var classOf = regexp.MustCompile(`^TestRedteam(\d+)_`)

// Count reads the output of `go test -json`.
func Count(r io.Reader) (*Tally, error) {
	run := map[string]*node{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("redteam: not a line of go test -json: %w: %s", err, lines.Text())
		}
		if e.Package == "" {
			e.Package = e.ImportPath // of a build
		}
		key := e.Package + "\x00" + e.Test
		n := run[key]
		if n == nil {
			n = &node{pkg: e.Package, test: e.Test}
			run[key] = n
		}
		n.take(e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("redteam: read go test -json: %w", err)
	}
	return tally(run), nil
}

// node is one test, sub-test, or package where test is empty.
type node struct {
	pkg, test string
	action    string
	output    strings.Builder
}

func (n *node) take(e event) {
	switch e.Action {
	case "output", "build-output":
		n.output.WriteString(e.Output)
	case "pass", "fail", "skip", "build-fail":
		n.action = strings.TrimPrefix(e.Action, "build-")
	}
}

func tally(run map[string]*node) *Tally {
	t := &Tally{}
	byNumber := map[int]*Result{}
	for _, c := range Classes {
		t.Results = append(t.Results, Result{Class: c, Status: NotYet})
	}
	for i := range t.Results {
		byNumber[t.Results[i].Number] = &t.Results[i]
	}
	parents := map[string]bool{}
	for key := range run {
		for i := strings.LastIndexByte(key, '/'); i > strings.IndexByte(key, 0); i = strings.LastIndexByte(key[:i], '/') {
			parents[key[:i]] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(run)) {
		n := run[key]
		bad := n.action != "pass" && (n.test != "" || n.action == "fail") // a test without an end died
		if bad && !parents[key] {
			t.Failures = append(t.Failures, strings.TrimSpace(n.pkg+" "+n.test)+"\n"+n.output.String())
		}
		m := classOf.FindStringSubmatch(n.test)
		if m == nil {
			continue
		}
		number, _ := strconv.Atoi(m[1])
		r := byNumber[number]
		if r == nil {
			t.Failures = append(t.Failures, fmt.Sprintf("%s %s: there is no class %d", n.pkg, n.test, number))
			continue
		}
		if !strings.Contains(n.test, "/") {
			r.Tests++
		}
		if !parents[key] {
			r.Cases++
			if n.action == "pass" {
				r.Passed++
			}
		}
		if r.Status == NotYet {
			r.Status = Passed
		}
		if bad {
			r.Status = Failed
		}
	}
	return t
}
