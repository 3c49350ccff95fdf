package api

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// The size of one page.
const (
	defaultLimit = 50
	maxLimit     = 500
	maxValue     = 1 << 10 // bytes of one parameter
)

// Verdicts are what the parameter verdict may be: a decision or an outcome.
var Verdicts = []string{"allow", "hold", "deny", "held", "ok", "error", "refused", "cancelled", "not_executed", "unknown", "running"}

// parseFilter reads the query of a search. An unknown or repeated parameter is
// an error: a filter that is not applied would show too much, or mislead.
func parseFilter(q url.Values) (store.Filter, error) {
	f := store.Filter{Limit: defaultLimit}
	for name, values := range q {
		if len(values) != 1 {
			return f, fmt.Errorf("parameter %s is given more than once", quoted(name))
		}
		v := values[0]
		if len(v) > maxValue {
			return f, fmt.Errorf("parameter %s is too long", quoted(name))
		}
		if err := set(&f, name, v); err != nil {
			return f, err
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, fmt.Errorf("since is not before until")
	}
	return f, nil
}

func set(f *store.Filter, name, v string) (err error) {
	switch name {
	case "principal":
		f.Principal = v
	case "repository":
		f.Repository = v
	case "target":
		f.Target = v
	case "object":
		f.Object = v
	case "text":
		f.Text = v
	case "verdict":
		if v != "" && !slices.Contains(Verdicts, v) {
			return fmt.Errorf("verdict %s is not known; known: %s", quoted(v), strings.Join(Verdicts, ", "))
		}
		f.Verdict = v
	case "since":
		f.Since, err = parseTime(name, v)
	case "until":
		f.Until, err = parseTime(name, v)
	case "limit":
		if f.Limit, err = strconv.Atoi(v); err != nil || f.Limit < 1 || f.Limit > maxLimit {
			return fmt.Errorf("limit is a number from 1 to %d", maxLimit)
		}
	case "cursor":
		f.After, err = parseCursor(v)
	default:
		return fmt.Errorf("parameter %s is not known", quoted(name))
	}
	return err
}

func parseTime(name, v string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return time.Time{}, fmt.Errorf("%s is not a time like 2026-11-01T00:00:00Z", name)
	}
	return t, nil
}

func formatCursor(c store.Cursor) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.Time.UnixNano(), 10) + "/" + c.ID))
}

func parseCursor(v string) (store.Cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(v)
	if err != nil {
		return store.Cursor{}, fmt.Errorf("cursor is not one of ours")
	}
	at, id, ok := strings.Cut(string(raw), "/")
	ns, err := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || id == "" {
		return store.Cursor{}, fmt.Errorf("cursor is not one of ours")
	}
	return store.Cursor{Time: time.Unix(0, ns).UTC(), ID: id}, nil
}

// quoted makes a caller's own words safe to repeat.
func quoted(s string) string { return fmt.Sprintf("%.80q", s) }
