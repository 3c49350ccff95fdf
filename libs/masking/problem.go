package masking

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a masking file.
type Problem struct {
	File    string
	Line    int // from 1
	Problem string
	Remedy  string
}

// String returns "file:line: problem; remedy".
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s; %s", p.File, p.Line, p.Problem, p.Remedy)
}

// ProblemsError holds everything wrong with a set of masking files.
type ProblemsError struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *ProblemsError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return "masking: " + strings.Join(lines, "\n")
}
