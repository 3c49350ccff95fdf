package postgres

import (
	"container/list"
	"net"
	"sync"
)

// room bounds the connections that have not shown a credential yet. When it is
// full, the one that has waited longest is closed: whoever opens connections
// and stays silent pushes out the silent, not the next job.
type room struct {
	size int

	mu      sync.Mutex
	waiting *list.List // of net.Conn, oldest first
}

func newRoom(size int) *room { return &room{size: size, waiting: list.New()} }

// enter lets a connection in, until leave is called; calling that again does
// nothing. It reports whether another one had to go.
func (r *room) enter(c net.Conn) (leave func(), evicted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting.Len() >= r.size {
		oldest := r.waiting.Front()
		_ = r.waiting.Remove(oldest).(net.Conn).Close() //nolint:forcetypeassert // only connections are put in
		evicted = true
	}
	place := r.waiting.PushBack(c)
	var once sync.Once
	return func() {
		once.Do(func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.waiting.Remove(place)
		})
	}, evicted
}
