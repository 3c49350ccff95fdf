package approval

import (
	"testing"
	"time"
)

func TestEndingInWords(t *testing.T) {
	for want, e := range map[string]Ending{
		"Ran: 1 row in 2.3 ms":                          {Status: "ok", Rows: 1, Took: 2340 * time.Microsecond},
		"Ran: 0 rows in 34 ms (use 1 of 20)":            {Status: "ok", Took: 34 * time.Millisecond, Uses: 1, Of: 20},
		"Ran: 2 rows in 1.2 s":                          {Status: "ok", Rows: 2, Took: 1234 * time.Millisecond, Uses: 1, Of: 1},
		"Failed after 4 min: 23505 duplicate ‹U+001B›x": {Status: "error", Code: "23505", Message: "duplicate \x1bx", Took: 4 * time.Minute},
		"Cancelled by its client after 0.0 ms":          {Status: "cancelled"},
		"It was not executed":                           {Status: "not_executed"},
		"How it ended is not known":                     {Status: "unknown", Uses: 2},
	} {
		if got := e.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if e.OK() != (e.Status == "ok") {
			t.Errorf("%s is taken for success", e.Status)
		}
	}
}
