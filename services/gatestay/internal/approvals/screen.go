package approvals

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/gatestay/gatestay/libs/approval"
	"github.com/gatestay/gatestay/services/gatestay/internal/ui"
)

// size is how much room the terminal has.
func (w *watcher) size() (columns, rows int) {
	if f, ok := w.tool.env.Stdout.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c >= 20 && r >= 6 {
			return c, r
		}
	}
	return 80, 24
}

// screen is what is shown now.
func (w *watcher) screen() string {
	columns, rows := w.size()
	p := ui.New(w.tool.env, w.tool.env.Stdout)
	head := p.Strong(fit(fmt.Sprintf("%d waiting", len(w.list)), columns))
	foot := w.foot(p, columns)
	room := rows - 3
	var body []string
	if w.open && w.marked() != nil {
		body = w.page(columns, room)
	} else {
		body = w.lines(p, columns, room)
	}
	for len(body) < room {
		body = append(body, "")
	}
	return head + "\n" + strings.Join(body, "\n") + "\n" + foot
}

// lines is the list, around the mark.
func (w *watcher) lines(p *ui.Printer, columns, room int) []string {
	if len(w.list) == 0 {
		return []string{"", p.Dim(fit("Nothing waits for you.", columns))}
	}
	from := max(0, min(w.at-room/2, len(w.list)-room))
	var out []string
	for i := from; i < len(w.list) && len(out) < room; i++ {
		a := w.list[i]
		text := fit(fmt.Sprintf("%-10s %s on %s, for %s", w.tool.left(a), approval.Visible(a.Headline), approval.Visible(a.Target), approval.Visible(a.Who)), columns-2)
		switch {
		case i == w.at:
			out = append(out, p.Accent("▸ ")+p.Strong(text))
		case a.MayVote:
			out = append(out, "  "+text)
		default:
			out = append(out, "  "+p.Dim(text))
		}
	}
	return out
}

// page is the part of the marked approval that fits, from where one has read to.
func (w *watcher) page(columns, room int) []string {
	all := w.whole(columns)
	w.from = max(0, min(w.from, len(all)-room))
	w.read = w.read || w.from+room >= len(all)
	w.step = max(room-1, 1)
	return all[w.from:min(w.from+room, len(all))]
}

// whole is everything about the marked approval, in lines that fit.
func (w *watcher) whole(columns int) []string {
	var b bytes.Buffer
	env := *w.tool.env
	env.Stdout, env.Output = &b, "text"
	(&tool{env: &env, now: w.tool.now}).whole(*w.marked())
	var out []string
	for l := range strings.Lines(b.String()) {
		out = append(out, wrap(strings.TrimRight(l, "\n"), columns)...)
	}
	return out
}

// wrap cuts a line into pieces of at most n columns: nothing of it is left out.
func wrap(s string, n int) []string {
	var out []string
	used, start := 0, 0
	for i, r := range s {
		if c := cell(r); used+c > n {
			out = append(out, s[start:i])
			used, start = c, i
		} else {
			used += c
		}
	}
	return append(out, s[start:])
}

// foot is the last line: what came of a key, a vote that is asked back, or the keys.
func (w *watcher) foot(p *ui.Printer, columns int) string {
	switch {
	case w.ask == approval.Approve && w.typed():
		return p.Warn(fit("Approve. Why? (enter: approve, escape: no vote) "+approval.Visible(w.reason), columns))
	case w.ask == approval.Approve:
		return p.Warn(fit("Approve this? y: yes, any other key: no", columns))
	case w.ask == approval.Deny:
		return p.Warn(fit("Deny. Why? (enter: deny, escape: no vote) "+approval.Visible(w.reason), columns))
	case w.said != "":
		return p.Warn(fit(approval.Visible(w.said), columns))
	case w.open:
		return p.Dim(fit("space: on · b: back · a: approve · d: deny · enter: list · q: leave", columns))
	}
	return p.Dim(fit("j k: move · enter: show · a: approve · d: deny · q: leave", columns))
}
