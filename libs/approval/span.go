package approval

import (
	"fmt"
	"strings"
	"time"
)

// Span writes a duration as people say it, to the minute from a minute on:
// "45 s", "20 min", "1 h", "1 h 30 min".
func Span(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	var parts []string
	d = d.Round(time.Minute)
	if h := int(d.Hours()); h > 0 {
		parts = append(parts, fmt.Sprintf("%d h", h))
	}
	if m := int(d.Minutes()) % 60; m > 0 {
		parts = append(parts, fmt.Sprintf("%d min", m))
	}
	return strings.Join(parts, " ")
}
