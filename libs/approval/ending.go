package approval

import (
	"fmt"
	"strings"
	"time"
)

// Ending is how an approved command ended, or the latest of those that a grant
// let pass.
type Ending struct {
	Status        string // ok, error, cancelled, not_executed; anything else is not known
	Code, Message string // of an error
	Rows          int64
	Took          time.Duration
	Uses, Of      uint32 // of a grant: the how manieth it was, of how many
}

// OK reports that it did what it was approved for.
func (e Ending) OK() bool { return e.Status == "ok" }

// String says it in one line. What the target wrote is made visible, and all of
// it is there.
func (e Ending) String() string {
	s := "How it ended is not known"
	switch e.Status {
	case "ok":
		rows := "1 row"
		if e.Rows != 1 {
			rows = fmt.Sprintf("%d rows", e.Rows)
		}
		s = fmt.Sprintf("Ran: %s in %s", rows, took(e.Took))
	case "error":
		s = fmt.Sprintf("Failed after %s: %s", took(e.Took), strings.TrimSpace(Visible(e.Code)+" "+Visible(e.Message)))
	case "cancelled":
		s = "Cancelled by its client after " + took(e.Took)
	case "not_executed":
		s = "It was not executed"
	}
	if e.Uses > 0 && e.Of > 1 {
		s += fmt.Sprintf(" (use %d of %d)", e.Uses, e.Of)
	}
	return s
}

// took writes how long something took: "2.3 ms", "34 ms", "1.2 s", "4 min".
func took(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return Span(d)
}
