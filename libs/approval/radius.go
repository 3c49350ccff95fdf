package approval

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Radius says in lines what a request's command would touch, as the gateway could
// measure it, the most important first; none where nothing was measured. Each is
// one visible line (Visible), not escaped for any markup.
func Radius(r *eventv1.ApprovalRequest) []string {
	m := r.GetRadius()
	if m == nil {
		return nil
	}
	var lines []string
	add := func(s string) {
		if s != "" {
			lines = append(lines, Visible(s))
		}
	}
	for _, line := range rehearsed(m.Rehearsal) {
		add(line)
	}
	if r.Class == "ddl" || r.Class == "admin" { // nothing is planned of these, which is no news
		add(defined(m))
	} else {
		add(planned(m))
	}
	add(open(m.Transaction, r.GetRequestedAt().AsTime()))
	if m.Unseen != "" && m.Unseen != m.Unknown {
		add("What its session holds, and how large its tables are, is not all known: " + m.Unseen)
	}
	return lines
}

// planned is the target's estimate, or why there is none.
func planned(m *eventv1.Radius) string {
	if m.Unknown != "" && m.Rehearsal != nil && m.Rehearsal.Unknown == m.Unknown {
		return strings.TrimPrefix(sizes(m.Sizes), " · ") // said already
	}
	if m.Unknown != "" {
		s := "How many rows is unknown: " + m.Unknown
		if m.Unfiltered {
			s += " · no WHERE"
		}
		return s + sizes(m.Sizes)
	}
	// The most rows first: what is long may be cut.
	planned := slices.SortedStableFunc(slices.Values(m.Planned), func(a, b *eventv1.Effect) int { return cmp.Compare(b.Rows, a.Rows) })
	var parts []string
	for _, e := range planned {
		verb, rows := e.Verb, about(e.Rows)
		if e.Relation == "" {
			parts = append(parts, "return "+rows)
			continue
		}
		parts = append(parts, verb+" "+rows+" of "+e.Relation)
	}
	if len(parts) == 0 {
		return ""
	}
	s := "Plans to " + strings.Join(parts, ", ") + " (estimate)"
	if m.Unfiltered {
		s += " · no WHERE"
	}
	return s + sizes(m.Sizes)
}

// defined is the lock that a definition takes, in the words of what it keeps others
// from, and how large what it is about is.
func defined(m *eventv1.Radius) string {
	s := "Which lock it takes is not known"
	switch m.Lock {
	case "":
	case "ACCESS EXCLUSIVE":
		s = "Takes a lock ACCESS EXCLUSIVE: nobody reads or writes until its transaction ends"
	case "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE":
		s = "Takes a lock " + m.Lock + ": nobody writes until its transaction ends"
	default:
		s = "Takes a lock " + m.Lock
	}
	if m.Lock == "" && len(m.Sizes) == 0 {
		return ""
	}
	return s + sizes(m.Sizes)
}

// open is what the session holds meanwhile.
func open(t *eventv1.OpenTransaction, at time.Time) string {
	if t == nil {
		return ""
	}
	s := "Open transaction"
	if t.Since != nil {
		s += " since " + Span(max(at.Sub(t.Since.AsTime()), 0).Round(time.Second))
	}
	switch t.Locks {
	case 0:
		return s + ", holding no lock of a table"
	case 1:
		s += ", holding 1 lock"
	default:
		s += fmt.Sprintf(", holding %d locks", t.Locks)
	}
	if t.Strongest == "" {
		return s
	}
	return s + ", the strongest " + t.Strongest + " on " + t.On
}

func sizes(list []*eventv1.Size) string {
	var parts []string
	for _, z := range list {
		s := z.Relation + " has "
		switch {
		case z.Rows < 0 && z.Bytes == 0:
			continue
		case z.Rows < 0:
			s += size(z.Bytes) + " and was never counted"
		case z.Bytes == 0:
			s += about(uint64(z.Rows)) + " in all"
		default:
			s += about(uint64(z.Rows)) + " in all, " + size(z.Bytes)
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 {
		return ""
	}
	return " · " + strings.Join(parts, "; ")
}

// about rounds to two digits: more of them would look like a count.
func about(n uint64) string {
	scale := uint64(1)
	for n/scale >= 100 {
		scale *= 10
	}
	n = (n + scale/2) / scale * scale
	if n == 1 {
		return "about 1 row"
	}
	return "about " + thousands(n) + " rows"
}

// thousands writes 1234567 as 1,234,567.
func thousands(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var parts []string
	for len(digits) > 3 {
		parts = append(parts, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	parts = append(parts, digits)
	slices.Reverse(parts)
	return strings.Join(parts, ",")
}

func size(n uint64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, unit := float64(n), 0
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	if f < 10 && unit > 0 {
		return fmt.Sprintf("%.1f %s", f, units[unit])
	}
	return fmt.Sprintf("%.0f %s", f, units[unit])
}
