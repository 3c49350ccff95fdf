package approvals

import (
	"os"
	"strconv"

	"golang.org/x/term"
	"golang.org/x/text/width"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

const (
	maxCommand = 32
	minWho     = 24 // with less room a table of these columns helps nobody
	gap        = 2
)

// none says that a list is empty, by state.
var none = map[string]string{"waiting": "Nothing waits for you.", "decided": "Nothing was decided yet.", "all": "There is nothing yet."}

// printList shows one line an approval, as wide as the terminal; three short
// ones where it is narrow.
func (t *tool) printList(state string, list []Approval) {
	p := ui.New(t.env, t.env.Stdout)
	if len(list) == 0 {
		p.Line(none[state])
		return
	}
	limit := t.columns()
	rows, room := t.rows(list, limit)
	if limit > 0 && room < minWho {
		for _, a := range list {
			p.Line(p.Accent(a.ID) + "  " + t.standing(a))
			p.Line("  " + fit(approval.Visible(a.Headline)+" on "+approval.Visible(a.Target), limit-2))
			p.Line("  " + p.Dim(fit(approval.Visible(a.Who), limit-2)))
		}
	} else {
		for _, l := range p.Table(rows) {
			p.Line(l)
		}
	}
	if state == "waiting" {
		p.Note(`gatestay approvals show ID, approve ID, deny ID --reason "why"`)
	}
}

// rows fills a table, the last column with what room the others leave.
func (t *tool) rows(list []Approval, limit int) (rows [][]string, room int) {
	rows = [][]string{{"id", "state", "vote", "command", "target", "who"}}
	for _, a := range list {
		state, vote := approval.Visible(a.State), ""
		if a.State == "waiting" {
			state, vote = t.left(a), map[bool]string{true: "yes", false: "no"}[a.MayVote]
		}
		rows = append(rows, []string{
			a.ID, state, vote, fit(approval.Visible(a.Headline), maxCommand), fit(approval.Visible(a.Target), 20), approval.Visible(a.Who),
		})
	}
	room = limit
	for column := range len(rows[0]) - 1 {
		widest := 0
		for _, r := range rows {
			widest = max(widest, cells(r[column]))
		}
		room -= widest + gap
	}
	if limit > 0 && room > 0 {
		for _, r := range rows {
			r[len(r)-1] = fit(r[len(r)-1], room)
		}
	}
	return rows, room
}

// standing is the state; for what waits, the time left and whether the caller
// may vote.
func (t *tool) standing(a Approval) string {
	if a.State != "waiting" {
		return approval.Visible(a.State)
	}
	s := t.left(a) + " left"
	if !a.MayVote {
		s += ", not yours"
	}
	return s
}

// columns is how wide the output may be; 0 is no limit (a pipe, a file).
func (t *tool) columns() int {
	if n, err := strconv.Atoi(t.env.Getenv("COLUMNS")); err == nil && n >= 20 {
		return n
	}
	f, ok := t.env.Stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n >= 20 {
		return n
	}
	return 80
}

// cells is how many columns of a terminal a text takes.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += cell(r)
	}
	return n
}

func cell(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// fit cuts a text to n columns; what is cut off shows as an ellipsis.
func fit(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if used += cell(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}
