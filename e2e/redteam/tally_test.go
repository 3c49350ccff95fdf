package redteam

import (
	"strings"
	"testing"
)

func TestClassesAreNumberedInOrder(t *testing.T) {
	if len(Classes) != 33 {
		t.Fatalf("%d classes, want 33", len(Classes))
	}
	for i, c := range Classes {
		if c.Number != i+1 || c.Name == "" || c.Area == "" {
			t.Errorf("class %d is %+v", i+1, c)
		}
	}
}

const header = `{"Action":"start","Package":"p"}
`

func TestCount(t *testing.T) {
	for _, c := range []struct {
		name, lines     string
		class           int
		want            Result
		ok              bool
		failureContains string
	}{
		{
			name: "a class without tests is not yet", lines: header + `{"Action":"pass","Package":"p"}`,
			class: 7, want: Result{Status: NotYet}, ok: true,
		},
		{
			name: "sub-tests are the cases",
			lines: header + `{"Action":"run","Package":"p","Test":"TestRedteam02_Replay"}
{"Action":"pass","Package":"p","Test":"TestRedteam02_Replay/jti"}
{"Action":"pass","Package":"p","Test":"TestRedteam02_Replay/spare bits/a"}
{"Action":"pass","Package":"p","Test":"TestRedteam02_Replay/spare bits"}
{"Action":"pass","Package":"p","Test":"TestRedteam02_Replay"}
{"Action":"pass","Package":"p"}`,
			class: 2, want: Result{Tests: 1, Cases: 2, Passed: 2, Status: Passed}, ok: true,
		},
		{
			name: "one failing case fails the class",
			lines: header + `{"Action":"output","Package":"p","Test":"TestRedteam02_Replay/jti","Output":"let it in\n"}
{"Action":"fail","Package":"p","Test":"TestRedteam02_Replay/jti"}
{"Action":"pass","Package":"p","Test":"TestRedteam02_Replay/other"}
{"Action":"fail","Package":"p","Test":"TestRedteam02_Replay"}
{"Action":"fail","Package":"p"}`,
			class: 2, want: Result{Tests: 1, Cases: 2, Passed: 1, Status: Failed}, failureContains: "let it in",
		},
		{
			name:  "a test that never ended has failed",
			lines: header + `{"Action":"run","Package":"p","Test":"TestRedteam05_Silence"}`,
			class: 5, want: Result{Tests: 1, Cases: 1, Status: Failed}, failureContains: "TestRedteam05_Silence",
		},
		{
			name:  "a skipped test has not passed",
			lines: header + `{"Action":"skip","Package":"p","Test":"TestRedteam05_Silence"}`,
			class: 5, want: Result{Tests: 1, Cases: 1, Status: Failed}, failureContains: "TestRedteam05_Silence",
		},
		{
			name: "a package that does not build is a failure",
			lines: `{"ImportPath":"q","Action":"build-output","Output":"undefined: x\n"}
{"ImportPath":"q","Action":"build-fail"}`,
			class: 1, want: Result{Status: NotYet}, failureContains: "undefined: x",
		},
		{
			name:  "an unknown number is a failure",
			lines: header + `{"Action":"pass","Package":"p","Test":"TestRedteam99_What"}`,
			class: 1, want: Result{Status: NotYet}, failureContains: "no class 99",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally, err := Count(strings.NewReader(c.lines))
			if err != nil {
				t.Fatal(err)
			}
			got := tally.Results[c.class-1]
			got.Class = Class{}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if tally.OK() != c.ok {
				t.Errorf("OK() = %v; failures %q", tally.OK(), tally.Failures)
			}
			if all := strings.Join(tally.Failures, "\n"); !strings.Contains(all, c.failureContains) {
				t.Errorf("failures %q do not tell %q", all, c.failureContains)
			}
		})
	}
}
