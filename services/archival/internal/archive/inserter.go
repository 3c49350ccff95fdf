package archive

import (
	"context"
	"time"

	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// inserter stores one group at a time beside the writer. Its methods are called
// from the writer's goroutine only.
type inserter struct {
	writer *Writer
	done   chan *store.Group // a group that is stored
	ended  chan struct{}     // of the running insert; nil when none
}

// lastLimit bounds the insert that runs when the writer stops.
const lastLimit = 5 * time.Second

// start stores a group, unless another is on its way. The group is not changed
// afterwards: an insert whose outcome is not known must be repeated as it was.
func (s *inserter) start(ctx context.Context, g *store.Group) bool {
	if s.ended != nil {
		return false
	}
	group, ended := *g, make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		if s.insert(ctx, &group) {
			s.done <- &group
		}
	}()
	return true
}

// insert tries until the group is stored or ctx has ended. An attempt that runs
// when ctx ends may finish: its records are worth acknowledging, unless the
// lease is what was lost.
func (s *inserter) insert(ctx context.Context, g *store.Group) bool {
	err := s.writer.retry(ctx, func(ctx context.Context) error {
		attempt, cancel := graceful(ctx)
		defer cancel()
		return s.writer.Store.Insert(attempt, g)
	})
	return err == nil
}

// free makes room for the next group.
func (s *inserter) free() {
	if s.ended != nil {
		<-s.ended
		s.ended = nil
	}
}

// wait waits for the running insert.
func (s *inserter) wait() { s.free() }
