package localslack

import "sync"

// hub tells subscribers that something changed. A subscriber that is busy gets
// the next telling: it reads the whole state anyway.
type hub struct {
	mu     sync.Mutex
	subs   map[chan string]bool
	closed bool
}

// subscribe returns a channel of changed channel ids ("" for all), which is
// closed when the workspace ends, and a function that ends the subscription.
func (h *hub) subscribe() (<-chan string, func()) {
	ch := make(chan string, 16)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(ch)
		return ch, func() {}
	}
	if h.subs == nil {
		h.subs = map[chan string]bool{}
	}
	h.subs[ch] = true
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.subs[ch] {
			delete(h.subs, ch)
			close(ch)
		}
	}
}

func (h *hub) changed(channelID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subs {
		select {
		case ch <- channelID:
		default:
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for ch := range h.subs {
		delete(h.subs, ch)
		close(ch)
	}
}
