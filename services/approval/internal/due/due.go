// Package due keeps what is to be looked at, and when: one thing at a time, what
// is due longest first. It keeps nothing beyond the process; what it is about
// does.
package due

import (
	"context"
	"sync"
	"time"
)

// idle is how long a list without entries sleeps when nothing wakes it.
const idle = time.Hour

// List is what is due. Safe for concurrent use.
type List struct {
	now  func() time.Time
	wake chan struct{}

	mu     sync.Mutex
	at     map[string]time.Time
	tries  map[string]int
	paused time.Time
}

// New returns an empty list that goes by a clock.
func New(now func() time.Time) *List {
	return &List{now: now, wake: make(chan struct{}, 1), at: map[string]time.Time{}, tries: map[string]int{}}
}

// Add makes something due at a time, or at the earlier one that it has.
func (l *List) Add(id string, at time.Time) { l.add(id, at, false) }

// AddNew is Add, but what has failed keeps its time.
func (l *List) AddNew(id string, at time.Time) { l.add(id, at, true) }

func (l *List) add(id string, at time.Time, keep bool) {
	l.mu.Lock()
	if old, ok := l.at[id]; !ok || at.Before(old) && (!keep || l.tries[id] == 0) {
		l.at[id] = at
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Done says that something went well, and is due again after a while; 0 is not.
func (l *List) Done(id string, again time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tries, id)
	if again > 0 {
		l.at[id] = l.now().Add(again)
	}
}

// Failed says that something went wrong, and returns how often in a row.
func (l *List) Failed(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries[id]++
	return l.tries[id]
}

// Retry makes what has failed due after a while.
func (l *List) Retry(id string, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at[id] = l.now().Add(after)
}

// Pause lets nothing be due before a while has passed.
func (l *List) Pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = l.now().Add(d)
}

// Len is how much is due, now or later.
func (l *List) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.at)
}

// Run calls work with each thing as it is due, one after the other, until ctx
// ends. It is taken off before.
func (l *List) Run(ctx context.Context, work func(ctx context.Context, id string)) {
	for ctx.Err() == nil {
		id, wait := l.pop()
		if id != "" {
			work(ctx, id)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pop takes what is due longest, or returns how long to wait.
func (l *List) pop() (string, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if d := l.paused.Sub(now); d > 0 {
		return "", d
	}
	first, at := "", time.Time{}
	for id, t := range l.at {
		if first == "" || t.Before(at) || t.Equal(at) && id < first {
			first, at = id, t
		}
	}
	if first == "" {
		return "", idle
	}
	if d := at.Sub(now); d > 0 {
		return "", d
	}
	delete(l.at, first)
	return first, 0
}
