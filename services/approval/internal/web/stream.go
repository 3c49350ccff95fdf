package web

import (
	"net/http"
	"sync"
	"time"

	"github.com/gatestay/gatestay/services/approval/internal/machine"
)

const (
	maxStreams    = 2000 // of the process
	maxOfAccount  = 16
	maxPending    = 64 // changes of one stream that wait to be looked at
	heartbeat     = 15 * time.Second
	streamSpacing = 250 * time.Millisecond // between two events of a stream
	writeLimit    = 10 * time.Second
)

// hub tells open pages that something has changed. What an event says is that,
// and nothing more: the page then asks anew, as itself.
type hub struct {
	mu      sync.Mutex
	streams map[*stream]struct{}
	closed  bool
}

// stream is one open page.
type stream struct {
	account, session string
	only             string // an approval's id; empty for all
	wake             chan struct{}
	gone             chan struct{} // closed when the session or the service ends
	once             sync.Once

	mu      sync.Mutex
	pending []*machine.State
	missed  bool // more changed than was kept, or the rules did
}

func (s *stream) end() { s.once.Do(func() { close(s.gone) }) }

// open adds a stream; nil where there are too many.
func (h *hub) open(account, session, only string) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := 0
	for s := range h.streams {
		if s.account == account {
			own++
		}
	}
	if h.closed || own >= maxOfAccount || len(h.streams) >= maxStreams {
		return nil
	}
	s := &stream{account: account, session: session, only: only, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	if h.streams == nil {
		h.streams = map[*stream]struct{}{}
	}
	h.streams[s] = struct{}{}
	return s
}

func (h *hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.streams, s)
}

// changed offers a change to every stream. It does not block: each stream looks
// by itself whether it concerns its owner. Nil is a change of everything.
func (h *hub) changed(st *machine.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams {
		s.offer(st)
	}
}

func (s *stream) offer(st *machine.State) {
	if st != nil && s.only != "" && s.only != st.ID {
		return
	}
	s.mu.Lock()
	if st == nil || len(s.pending) == maxPending {
		s.missed = true
	} else {
		s.pending = append(s.pending, st)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) take() ([]*machine.State, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending, missed := s.pending, s.missed
	s.pending, s.missed = nil, false
	return pending, missed
}

// end ends the streams of a session; an empty one is all of them, for good.
func (h *hub) end(session string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = h.closed || session == ""
	for s := range h.streams {
		if session == "" || s.session == session {
			s.end()
		}
	}
}

// events is the stream of one page (server-sent events): "changed" after each
// change of what concerns the caller, "end" when the session is over.
func (w *Web) events(rw http.ResponseWriter, r *http.Request, v *visit) {
	s := w.hub.open(v.session.Account, v.session.ID, r.URL.Query().Get("id"))
	if s == nil {
		rw.Header().Set("Retry-After", "10")
		http.Error(rw, "too many open pages", http.StatusServiceUnavailable)
		return
	}
	defer w.hub.leave(s)
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	out := http.NewResponseController(rw)
	say := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeLimit)) // where the server has none, there is none to set
		_, err := rw.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	if !say("retry: 2000\n\n") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		text := ""
		select {
		case <-r.Context().Done():
			return
		case <-s.gone:
		case <-beat.C:
			text = ":\n\n"
		case <-s.wake:
			if w.concerns(s, v.session) {
				text = "event: changed\ndata:\n\n"
			}
		}
		if ended := s.over() || !w.o.Now().Before(v.session.ends()) || w.ended(v.session.ID); ended {
			say("event: end\ndata:\n\n")
			return
		}
		if text != "" && !say(text) {
			return
		}
		if text != "" && text[0] == 'e' {
			pause := time.NewTimer(streamSpacing)
			select {
			case <-pause.C:
			case <-r.Context().Done():
			}
			pause.Stop()
		}
	}
}

func (s *stream) over() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// concerns reports that something changed that the stream's owner may see, under
// the people map of now.
func (w *Web) concerns(s *stream, owner *session) bool {
	pending, missed := s.take()
	b := w.o.Backend()
	if b == nil {
		return false
	}
	c := w.as(b, owner)
	for _, st := range pending {
		if c.Sees(st) {
			return true
		}
	}
	return missed
}
