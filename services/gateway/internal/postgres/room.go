package postgres

import (
	"container/list"
	"net"
	"sync"
)

// room bounds the connections that have not shown a credential yet. When it is
// full, the one that has waited longest is closed, of those from the address
// with the most: whoever opens connections and stays silent pushes out the
// silent, and from one address only his own.
type room struct {
	size int

	mu      sync.Mutex
	count   int
	waiting map[string]*list.List // by address: of net.Conn, oldest first
}

func newRoom(size int) *room { return &room{size: size, waiting: map[string]*list.List{}} }

// enter lets a connection in, until leave is called; calling that again does
// nothing. It reports whether another one had to go.
func (r *room) enter(c net.Conn) (leave func(), evicted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count >= r.size {
		r.evict()
		evicted = true
	}
	address := addressOf(c)
	if r.waiting[address] == nil {
		r.waiting[address] = list.New()
	}
	place := r.waiting[address].PushBack(c)
	r.count++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.remove(address, place)
	}, evicted
}

// evict closes the oldest connection of the address that has the most.
func (r *room) evict() {
	most := ""
	for address, waiting := range r.waiting {
		if r.waiting[most] == nil || waiting.Len() > r.waiting[most].Len() {
			most = address
		}
	}
	oldest := r.waiting[most].Front()
	r.remove(most, oldest)
	_ = oldest.Value.(net.Conn).Close() //nolint:forcetypeassert // only connections are put in
}

// remove forgets a place; one that is not there any more is no matter.
func (r *room) remove(address string, place *list.Element) {
	waiting := r.waiting[address]
	if waiting == nil {
		return
	}
	before := waiting.Len()
	waiting.Remove(place)
	r.count -= before - waiting.Len()
	if waiting.Len() == 0 {
		delete(r.waiting, address)
	}
}

func addressOf(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return "" // a Unix socket: all of one machine
	}
	return host
}
