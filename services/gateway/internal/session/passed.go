package session

import (
	"math"
	"sync"
	"time"
)

const (
	// maxPassed bounds the memory; beyond it, what is new asks a person.
	maxPassed = 10_000
	// passedLife is for how long what a run has passed with counts, from the last.
	passedLife = 24 * time.Hour
)

// passed counts the rows that runs have changed without a person, by a rule's
// approve_if: many small commands are one large one. Each gateway counts for itself,
// and anew when it starts.
type passed struct {
	mu   sync.Mutex
	runs map[string]*spent // by run and target
}

type spent struct {
	rows uint64
	last time.Time
}

// with returns what a run has changed so far, and rows more.
func (p *passed) with(run string, rows uint64, now time.Time) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total(run, rows, now)
}

func (p *passed) total(run string, rows uint64, now time.Time) uint64 {
	have := uint64(0)
	switch s := p.runs[run]; {
	case s != nil && now.Sub(s.last) < passedLife:
		have = s.rows
	case s == nil && len(p.runs) >= maxPassed:
		return math.MaxUint64
	}
	if have+rows < have {
		return math.MaxUint64
	}
	return have + rows
}

// spend counts rows, where fits lets the total pass. What is not committed in the end
// has been counted all the same.
func (p *passed) spend(run string, rows uint64, now time.Time, fits func(total uint64) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, s := range p.runs {
		if len(p.runs) >= maxPassed && now.Sub(s.last) >= passedLife {
			delete(p.runs, k)
		}
	}
	total := p.total(run, rows, now)
	if !fits(total) {
		return false
	}
	if p.runs == nil {
		p.runs = map[string]*spent{}
	}
	p.runs[run] = &spent{rows: total, last: now}
	return true
}
