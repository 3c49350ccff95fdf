package intake

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/gatestay/gatestay/libs/seal"
)

// Keys are the public keys of all producers of batches. A file that is missing
// is no error: services start in any order, and each makes its key at its first
// start. The files are looked at again when a batch comes that no known key
// signed. Safe for concurrent use.
type Keys struct {
	paths []string
	own   seal.Trust

	mu     sync.Mutex
	trust  seal.Trust
	stamps map[string]stamp
}

type stamp struct {
	changed time.Time
	size    int64
}

// NewKeys reads the files that are there; one that is there and no key is an
// error. own is trusted besides.
func NewKeys(paths []string, own seal.Trust) (*Keys, error) {
	k := &Keys{paths: paths, own: own, trust: own}
	if err := k.read(); err != nil {
		return nil, err
	}
	return k, nil
}

// Trust returns the keys known now.
func (k *Keys) Trust() seal.Trust {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trust
}

// Refresh reads the files again if one has changed, and reports whether it did.
func (k *Keys) Refresh() bool {
	k.mu.Lock()
	now := k.stat()
	same := maps.Equal(now, k.stamps)
	k.mu.Unlock()
	return !same && k.read() == nil
}

func (k *Keys) stat() map[string]stamp {
	stamps := map[string]stamp{}
	for _, path := range k.paths {
		if info, err := os.Stat(path); err == nil {
			stamps[path] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

func (k *Keys) read() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	stamps, trust := k.stat(), maps.Clone(k.own)
	for path := range stamps {
		t, err := seal.LoadTrust(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("intake: trust.records: %w", err)
		}
		maps.Copy(trust, t)
	}
	k.stamps, k.trust = stamps, trust
	return nil
}
