// Command redteam runs the attacks of every module and prints one line a
// class: number, name, tests, passed, or `not yet`. It exits 1 when an attack
// got through.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/term"

	"github.com/gatestay/gatestay/e2e/redteam"
)

func main() {
	output := flag.String("output", "text", "text or json")
	race := flag.Bool("race", false, "with the race detector")
	flag.Parse()
	ok, err := run(*output, *race)
	if err != nil {
		fmt.Fprintln(os.Stderr, "redteam:", err)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(output string, race bool) (bool, error) {
	arguments := []string{"test", "-json", "-count=1", "-timeout", "20m", "-run", "^TestRedteam"}
	if race {
		arguments = append(arguments, "-race")
	} else {
		arguments = append(arguments, "-trimpath", "-tags", "netgo,osusergo") // as `make build`, whose cache it shares
	}
	command := exec.Command("go", append(arguments, "work")...)
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := command.Start(); err != nil {
		return false, err
	}
	tally, err := redteam.Count(stdout)
	if err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return false, err
	}
	failed := command.Wait()
	if failed != nil && tally.OK() {
		return false, fmt.Errorf("go test: %w", failed)
	}
	if output == "json" {
		return tally.OK(), json.NewEncoder(os.Stdout).Encode(tally.Results)
	}
	for _, f := range tally.Failures {
		fmt.Fprintln(os.Stderr, f)
	}
	print(os.Stdout, tally, term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "")
	return tally.OK(), nil
}

func print(w io.Writer, tally *redteam.Tally, color bool) {
	paint := func(code, text string) string {
		if !color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	area, cases, classes := "", 0, 0
	for _, r := range tally.Results {
		if r.Area != area {
			area = r.Area
			fmt.Fprintln(w, paint("1", area))
		}
		state := paint("2", "not yet")
		switch r.Status {
		case redteam.Passed:
			state = fmt.Sprintf("%4d  %s", r.Cases, paint("32", "passed"))
			classes++
		case redteam.Failed:
			state = fmt.Sprintf("%4d  %s", r.Cases, paint("31", fmt.Sprintf("%d FAILED", r.Cases-r.Passed)))
		}
		cases += r.Passed
		fmt.Fprintf(w, "  %2d  %-92s %s\n", r.Number, r.Name, state)
	}
	fmt.Fprintf(w, "%d attacks of %d classes failed, as they must; %d classes not yet\n", cases, classes, notYet(tally))
	if n := len(tally.Failures); n > 0 {
		fmt.Fprintln(w, paint("31", fmt.Sprintf("%d got through or could not be tried: see above", n)))
	}
}

func notYet(t *redteam.Tally) int {
	n := 0
	for _, r := range t.Results {
		if r.Status == redteam.NotYet {
			n++
		}
	}
	return n
}
