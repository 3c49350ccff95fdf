package keeper

import (
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/gatestay/gatestay/libs/masking"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// The states of the folder.
const (
	Starting  = "starting"  // not read or not published yet
	Published = "published" // the folder is the current bundle
	Rejected  = "rejected"  // the folder is broken; the last good bundle stays
)

// Status is what is known now. It is never changed once stored.
type Status struct {
	State       string
	Version     uint64 // of the current bundle; 0: none
	Hash        string // SHA-256 of the current bundle's files, hex
	PublishedAt time.Time
	Publisher   string
	Rules       int
	FolderHash  string // SHA-256 of the folder's files as they lie there
	Problems    []masking.Problem
	Findings    []Finding
}

func (s Status) with(b *eventv1.Bundle) Status {
	if b != nil {
		s.Version, s.Hash, s.PublishedAt, s.Publisher = b.Version, hex.EncodeToString(b.ContentHash), b.GetPublishedAt().AsTime(), b.Publisher
	}
	return s
}

// Finding is a mask that silently does not do what it seems to.
type Finding struct {
	Rule   string `json:"rule"`
	What   string `json:"what"`
	Remedy string `json:"remedy"`
}

func (f Finding) record() *eventv1.Record {
	return &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "masking.never_applies", Actor: "masking", Rule: f.Rule, Message: f.What,
		Details: map[string]string{"remedy": f.Remedy},
	}
}

// idle finds the masks whose targets are not configured.
func idle(e *masking.Engine, targets []string) []Finding {
	var out []Finding
	for _, r := range e.Rules() {
		if len(r.Targets) > 0 && !anyMatch(r.Targets, targets) {
			out = append(out, Finding{
				Rule: r.Name, What: fmt.Sprintf("mask %q names no configured target (%s)", r.Name, strings.Join(r.Targets, ", ")),
				Remedy: "correct targets:, or add the target to gatestay.yaml",
			})
		}
	}
	return out
}

func anyMatch(patterns, names []string) bool {
	for _, p := range patterns {
		for _, n := range names {
			if ok, err := path.Match(p, n); err == nil && ok {
				return true
			}
		}
	}
	return false
}

const (
	watch     = "file watch" // who changes files, as far as a file system tells
	maxListed = 20
)

func publishedRecord(b *eventv1.Bundle) *eventv1.Record {
	return &eventv1.Record{
		Kind: eventv1.Kind_KIND_ADMIN, Action: "bundle.published", Actor: watch, MaskingVersion: b.Version,
		Details: map[string]string{"kind": b.Kind, "content_hash": hex.EncodeToString(b.ContentHash), "files": fmt.Sprint(len(b.Files)), "publisher": b.Publisher},
	}
}

func rejected(f folder, stays uint64) *eventv1.Record {
	var lines []string
	for i, p := range f.problems {
		if i == maxListed {
			lines = append(lines, fmt.Sprintf("… %d more", len(f.problems)-i))
			break
		}
		lines = append(lines, p.String())
	}
	return &eventv1.Record{
		Kind: eventv1.Kind_KIND_FINDING, Action: "bundle.rejected", Actor: watch, MaskingVersion: stays,
		Message: fmt.Sprintf("the masking folder has %d problem(s); the last good bundle stays", len(f.problems)),
		Details: map[string]string{"kind": "masking", "content_hash": hex.EncodeToString(f.hash[:]), "problems": strings.Join(lines, "\n")},
	}
}
