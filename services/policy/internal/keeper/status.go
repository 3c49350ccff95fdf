package keeper

import (
	"encoding/hex"
	"time"

	"github.com/gatestay/gatestay/libs/policy"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// The states of the folder.
const (
	Starting  = "starting"  // not read or not published yet
	Published = "published" // the folder is the current bundle
	Rejected  = "rejected"  // the folder is broken; the last good bundle stays
)

// Status is what is known now. It is never changed once published.
type Status struct {
	State       string    `json:"state"`
	Version     uint64    `json:"version"` // of the current bundle; 0: none
	Hash        string    `json:"hash"`    // SHA-256 of the current bundle's files, hex
	PublishedAt time.Time `json:"published_at"`
	Publisher   string    `json:"publisher"`
	Rules       int       `json:"rules"`
	Tests       int       `json:"tests"`
	FolderHash  string    `json:"folder_hash"` // SHA-256 of the folder's files as they lie there
	// Problems are those of the folder as it lies there.
	Problems []policy.Problem `json:"problems"`
	Findings []policy.Finding `json:"findings"`

	Bundle *eventv1.Bundle `json:"-"`
}

func (s Status) with(b *eventv1.Bundle) Status {
	if b != nil {
		s.Bundle, s.Version, s.Hash = b, b.Version, hex.EncodeToString(b.ContentHash)
		s.PublishedAt, s.Publisher = b.GetPublishedAt().AsTime(), b.Publisher
	}
	return s
}
