package localslack

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	maxSockets = 10 // of one app
	ticketLife = 30 * time.Second
	maxTickets = 256
	writeLimit = 5 * time.Second
	// maxAck is what Slack takes of an acknowledgement; larger ones it drops
	// without a word.
	maxAck = 20 << 10
)

// link is the app's Socket Mode: its connections, and the envelopes that wait
// for an acknowledgement.
type link struct {
	mu      sync.Mutex
	tickets map[string]time.Time
	sockets []*socket
	next    int // round robin
	waiting map[string]chan json.RawMessage
	arrived chan struct{} // closed and replaced when a socket connects
	closed  bool
	wg      sync.WaitGroup
}

func (l *link) start() {
	l.tickets, l.waiting, l.arrived = map[string]time.Time{}, map[string]chan json.RawMessage{}, make(chan struct{})
}

// socket is one connection. Its handler reads; a goroutine of its own writes.
type socket struct {
	conn *websocket.Conn
	out  chan []byte
	gone chan struct{} // closed when the connection has ended
	once sync.Once
}

func (s *socket) end() {
	s.once.Do(func() {
		close(s.gone)
		_ = s.conn.Close()
	})
}

// send queues a message; false means that the connection is gone or clogged.
func (s *socket) send(raw []byte) bool {
	select {
	case <-s.gone:
		return false
	case s.out <- raw:
		return true
	default:
		s.end()
		return false
	}
}

// connectionsOpen answers apps.connections.open with a ticket for one connection.
func connectionsOpen(w *Workspace, c *call) (map[string]any, error) {
	ticket := random(16)
	now := w.now()
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	for t, until := range w.link.tickets {
		if now.After(until) || len(w.link.tickets) >= maxTickets {
			delete(w.link.tickets, t)
		}
	}
	w.link.tickets[ticket] = now.Add(ticketLife)
	return map[string]any{"url": "ws://" + c.host + "/link/?ticket=" + ticket + "&app_id=" + w.o.App.ID}, nil
}

func (l *link) redeem(ticket string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.tickets[ticket]
	delete(l.tickets, ticket)
	return ok && !now.After(until)
}

// serveSocket answers /link/: one Socket Mode connection. The ticket is what
// authenticates it; slack-go sends api.slack.com as its Origin.
func (w *Workspace) serveSocket(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	down := w.faults.Down || w.faults.Revoked
	w.mu.Unlock()
	if down || !w.link.redeem(r.URL.Query().Get("ticket"), w.now()) {
		http.Error(rw, "the ticket is used, old or unknown", http.StatusForbidden)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(rw, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	s := &socket{conn: conn, out: make(chan []byte, 64), gone: make(chan struct{})}
	n, ok := w.link.add(s)
	if !ok {
		s.end()
		return
	}
	defer w.link.wg.Done()
	var writer sync.WaitGroup
	writer.Go(func() { w.write(s) })
	if n > maxSockets {
		s.send(disconnect("too_many_websockets"))
	} else {
		s.send(w.hello(n))
	}
	w.read(s)
	w.link.remove(s)
	s.end()
	writer.Wait()
}

func (w *Workspace) hello(n int) []byte {
	raw, _ := json.Marshal(map[string]any{ // plain values marshal
		"type": "hello", "num_connections": n,
		"debug_info":      map[string]any{"host": "localslack", "build_number": 1, "approximate_connection_time": int(w.o.Refresh.Seconds())},
		"connection_info": map[string]any{"app_id": w.o.App.ID},
	})
	return raw
}

func disconnect(reason string) []byte {
	raw, _ := json.Marshal(map[string]any{ // plain values marshal
		"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": "localslack"},
	})
	return raw
}

// write sends what is queued, pings, and asks the client to connect anew when
// the connection has lived long enough.
func (w *Workspace) write(s *socket) {
	ping, refresh := time.NewTicker(w.o.PingEvery), time.NewTimer(w.o.Refresh)
	defer ping.Stop()
	defer refresh.Stop()
	for {
		var err error
		select {
		case <-s.gone:
			return
		case raw := <-s.out:
			_ = s.conn.SetWriteDeadline(time.Now().Add(writeLimit))
			err = s.conn.WriteMessage(websocket.TextMessage, raw)
		case <-ping.C:
			err = s.conn.WriteControl(websocket.PingMessage, []byte("local"), time.Now().Add(writeLimit))
		case <-refresh.C:
			s.send(disconnect("refresh_requested"))
		}
		if err != nil {
			s.end()
			return
		}
	}
}

// read takes acknowledgements until the connection ends.
func (w *Workspace) read(s *socket) {
	s.conn.SetReadLimit(1 << 20)
	for {
		_, raw, err := s.conn.ReadMessage()
		if err != nil {
			return
		}
		var ack struct {
			EnvelopeID string          `json:"envelope_id"`
			Payload    json.RawMessage `json:"payload"`
		}
		if len(raw) > maxAck || json.Unmarshal(raw, &ack) != nil {
			continue
		}
		w.link.mu.Lock()
		waiting := w.link.waiting[ack.EnvelopeID]
		delete(w.link.waiting, ack.EnvelopeID)
		w.link.mu.Unlock()
		if waiting != nil {
			waiting <- ack.Payload // has room for one, and only one is sent
		}
	}
}

func (l *link) add(s *socket) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, false
	}
	l.wg.Add(1)
	l.sockets = append(l.sockets, s)
	close(l.arrived)
	l.arrived = make(chan struct{})
	return len(l.sockets), true
}

func (l *link) remove(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.sockets {
		if other == s {
			l.sockets = append(l.sockets[:i:i], l.sockets[i+1:]...)
			return
		}
	}
}

// pick returns the next connection in turn, or nil and what is closed when one
// connects.
func (l *link) pick() (*socket, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sockets) == 0 {
		return nil, l.arrived
	}
	l.next++
	return l.sockets[l.next%len(l.sockets)], nil
}

// drop ends all connections; the app may connect again.
func (l *link) drop() {
	l.mu.Lock()
	sockets := append([]*socket{}, l.sockets...)
	l.mu.Unlock()
	for _, s := range sockets {
		s.end()
	}
}

func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.drop()
	l.wg.Wait()
}

// Connections returns how many Socket Mode connections the app holds.
func (w *Workspace) Connections() int {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	return len(w.link.sockets)
}

// RefreshConnections asks every connection to connect anew, as Slack does now
// and then; DropConnections cuts them.
func (w *Workspace) RefreshConnections() {
	w.link.mu.Lock()
	sockets := append([]*socket{}, w.link.sockets...)
	w.link.mu.Unlock()
	for _, s := range sockets {
		s.send(disconnect("refresh_requested"))
	}
}

// DropConnections cuts every Socket Mode connection.
func (w *Workspace) DropConnections() { w.link.drop() }
