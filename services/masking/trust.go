package masking

import (
	"errors"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// reload is how often the key files of producers are read again at most.
const reload = 5 * time.Second

// producers are the public keys of those that make batches. Services start in
// any order, and each makes its key at its first start: a key that is missing
// now may be there when its first batch comes.
type producers struct {
	paths []string
	own   seal.Trust

	mu    sync.Mutex
	trust seal.Trust
	read  time.Time
}

// verify checks a batch. nil is returned where no keys are configured.
func (p *producers) verify(b *eventv1.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := event.Verify(b, p.trust)
	if err == nil || time.Since(p.read) < reload {
		return err
	}
	p.read, p.trust = time.Now(), maps.Clone(p.own)
	for _, path := range p.paths {
		if t, err := seal.LoadTrust(path); err == nil {
			maps.Copy(p.trust, t)
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return event.Verify(b, p.trust)
}
