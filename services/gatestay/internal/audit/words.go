package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/approval"
)

// who names a principal in a few words: what acted, and for whom.
func who(p principal) string {
	name := first(p.Agent, p.Repository, p.Subject)
	var behind []string
	if p.Actor != "" && p.Actor != name {
		behind = append(behind, p.Actor)
	}
	switch {
	case p.OnBehalfOf == "" || p.OnBehalfOf == p.Actor:
	case slices.Contains(p.Asserted, "on_behalf_of"):
		behind = append(behind, "says for "+p.OnBehalfOf)
	default:
		behind = append(behind, "for "+p.OnBehalfOf)
	}
	if len(behind) > 0 {
		name += " (" + strings.Join(behind, ", ") + ")"
	}
	return approval.Visible(name)
}

func first(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// decision is what became of a command before it ran.
func decision(c *command) string {
	switch {
	case c.Effect == "hold" && len(c.Approvers) > 0:
		return "approved by " + approval.Visible(strings.Join(c.Approvers, ", "))
	case c.Effect == "hold" && c.Status == "refused":
		return "held, not approved"
	case c.Effect == "hold":
		return "held"
	case c.Effect == "deny":
		return "denied"
	case c.Effect == "allow":
		return "allowed"
	default:
		return approval.Visible(c.Effect)
	}
}

// ending is how a command ended, with what is worth saying of it.
func ending(c *command) string {
	words := []string{approval.Visible(c.Status)}
	switch c.Status {
	case "unknown":
		words[0] = "outcome unknown"
	case "running":
		words[0] = "no outcome yet"
	case "held":
		words[0] = "waiting for approval"
	}
	if c.Code != "" {
		words[0] += " " + approval.Visible(c.Code)
	}
	if c.Rows > 0 {
		words = append(words, count(c.Rows, "row"))
	}
	if c.MaskedCells > 0 {
		words = append(words, count(c.MaskedCells, "cell")+" masked")
	}
	if c.Duration > 0 {
		words = append(words, short(seconds(c.Duration)))
	}
	return strings.Join(words, " · ")
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// short writes a duration with two digits that matter.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// stamp writes a time for somebody who reads it now: today's without the date.
func stamp(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}
