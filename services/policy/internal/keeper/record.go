package keeper

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/policy/internal/folder"
)

// watch is who changes files, as far as a file system tells.
const watch = "file watch"

// The bounds of what one record lists.
const (
	maxListed = 20
	maxText   = 4 << 10
)

func publishedRecord(now, before *eventv1.Bundle) *eventv1.Record {
	d := map[string]string{
		"kind": now.Kind, "content_hash": hex.EncodeToString(now.ContentHash), "files": fmt.Sprint(len(now.Files)), "publisher": now.Publisher,
	}
	var previous map[string]string
	if before != nil {
		d["previous_version"] = fmt.Sprint(before.Version)
		d["previous_hash"] = hex.EncodeToString(before.ContentHash)
		previous = hashes(before)
	}
	changes(d, previous, hashes(now))
	return &eventv1.Record{Kind: eventv1.Kind_KIND_ADMIN, Action: "bundle.published", Actor: watch, PolicyVersion: now.Version, Details: d}
}

// hashes returns the hash of every rule of a bundle by name; nil where it does
// not compile, as one of another version of this service may not.
func hashes(b *eventv1.Bundle) map[string]string {
	e, err := policy.Compile(b.Files)
	if err != nil {
		return nil
	}
	return e.Hashes()
}

func changes(d, before, now map[string]string) {
	var added, removed, changed []string
	for _, name := range sorted(now) {
		switch hash, there := before[name]; {
		case !there:
			added = append(added, name)
		case hash != now[name]:
			changed = append(changed, name)
		}
	}
	for _, name := range sorted(before) {
		if _, there := now[name]; !there {
			removed = append(removed, name)
		}
	}
	for key, names := range map[string][]string{"rules_added": added, "rules_removed": removed, "rules_changed": changed} {
		if len(names) > 0 {
			d[key] = list(names)
		}
	}
}

func rejected(s *folder.Snapshot, stays uint64) *eventv1.Record {
	lines := make([]string, 0, len(s.Problems))
	for _, p := range s.Problems {
		lines = append(lines, p.String())
	}
	return &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "bundle.rejected", Actor: watch, PolicyVersion: stays,
		Message: fmt.Sprintf("the policy folder has %d problem(s); the last good bundle stays", len(s.Problems)),
		Details: map[string]string{"kind": "policy", "content_hash": hex.EncodeToString(s.Hash[:]), "problems": list(lines)},
	}
}

func finding(f policy.Finding) *eventv1.Record {
	return &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "policy." + f.Kind, Actor: "policy", Rule: f.Rule, Target: f.Target, Message: f.What,
		Details: map[string]string{"file": f.File, "line": fmt.Sprint(f.Line), "remedy": f.Remedy},
	}
}

func list(lines []string) string {
	more := ""
	if len(lines) > maxListed {
		more = fmt.Sprintf("\n… %d more", len(lines)-maxListed)
		lines = lines[:maxListed]
	}
	s := strings.Join(lines, "\n")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s + more
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
