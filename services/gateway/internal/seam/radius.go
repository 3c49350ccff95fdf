package seam

import "time"

// Radius is what could be measured of a command's effects before it runs. What is
// not known is said so, never left to look like none.
type Radius struct {
	Planned []Effect // the target's estimate
	Unknown string   // why there is none, in words
	// Transaction is what the session's open one holds; nil where none is open, or
	// where Unseen says why it is not known.
	Transaction *OpenTransaction
	Lock        string // mode that a definition takes; empty where it takes none, or that is not known
	Sizes       []Size // of the relations that are changed
	Unseen      string // why Transaction and Sizes are not known, in words
}

// Effect is how many rows of a relation a command changes, or reads.
type Effect struct {
	Verb     string // select, insert, update, delete, merge
	Relation string // empty for what a SELECT returns
	Rows     uint64
}

// OpenTransaction is what a session holds while its command waits.
type OpenTransaction struct {
	Since     time.Time // zero where it is not known
	Locks     uint32    // of relations, without the system catalogs
	Strongest string    // mode of the strongest, and its relation
	On        string
}

// Size is how large a relation is, with its indexes and partitions.
type Size struct {
	Relation string
	Bytes    uint64 // 0 where it is not known
	Rows     int64  // as last counted; -1 for never
}
