package postgres

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// Lengths of a cancel key, in bytes. Protocol 3.0 fixes the shorter one; there
// the process id, which is as random, makes up for it.
const (
	shortKey = 4
	longKey  = 32
)

// keyring maps the keys that clients cancel with to their sessions. The
// target's own keys never leave the gateway.
type keyring struct {
	mu       sync.Mutex
	sessions map[uint32]*session
}

func newKeyring() *keyring { return &keyring{sessions: map[uint32]*session{}} }

// add gives a session its process id and key.
func (k *keyring) add(s *session) error {
	size := shortKey
	if s.open.version >= wire.Version32 {
		size = longKey
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		b := make([]byte, 4+size)
		if _, err := rand.Read(b); err != nil {
			return fmt.Errorf("postgres: cancel key: %w", err)
		}
		pid := binary.BigEndian.Uint32(b) >> 1 // clients print it as a positive number
		if _, taken := k.sessions[pid]; taken || pid == 0 {
			continue
		}
		s.pid, s.key = pid, b[4:]
		k.sessions[pid] = s
		return nil
	}
}

func (k *keyring) remove(s *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sessions[s.pid] == s {
		delete(k.sessions, s.pid)
	}
}

// cancel serves a CancelRequest, which gets no answer whatever comes of it.
func (k *keyring) cancel(pid uint32, key []byte) {
	k.mu.Lock()
	s := k.sessions[pid]
	k.mu.Unlock()
	if s != nil && subtle.ConstantTimeCompare(s.key, key) == 1 {
		s.cancel()
	}
}
