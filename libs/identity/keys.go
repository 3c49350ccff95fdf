package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	freshFor     = time.Hour        // keys younger than this are used without asking
	usableFor    = 24 * time.Hour   // keys older than this are not used, issuer down or not
	askAgain     = 10 * time.Second // least time between two reads while there are keys
	afterFailure = 2 * time.Second  // least time between two reads while there are none
)

// errUnknownKey says that the issuer answers and has no such key.
var errUnknownKey = errors.New("no key of the issuer has the token's kid")

// keySet is one issuer's published keys, discovered and cached. It is go-oidc's
// remote key set with bounds: a stranger's tokens cannot make it ask the issuer
// more than now and then, and an issuer that is down is not noticed for a day.
type keySet struct {
	issuer string
	client *http.Client
	clock  func() time.Time

	current atomic.Pointer[published]

	// lock is a mutex of one place that a waiter can leave with its context. Who
	// holds it may read the keys anew, and owns the fields below.
	lock    chan struct{}
	asked   time.Time // the last attempt
	failure error     // of the last attempt
}

// published is what the issuer published at one moment.
type published struct {
	keys []jose.JSONWebKey
	read time.Time
}

func newKeySet(issuer string, client *http.Client, clock func() time.Time) *keySet {
	return &keySet{issuer: issuer, client: client, clock: clock, lock: make(chan struct{}, 1)}
}

// find returns the keys that a token with this header may be signed with.
// A key in the token's own header (jwk, jku, x5c, x5u) is never looked at.
func (s *keySet) find(ctx context.Context, keyID, algorithm string) ([]crypto.PublicKey, error) {
	now := s.clock()
	cached := s.current.Load()
	found := cached.match(keyID, algorithm, now)
	if len(found) > 0 && now.Sub(cached.read) <= freshFor {
		return found, nil
	}
	if len(found) > 0 {
		// Somebody else reads them already: go on with those at hand.
		select {
		case s.lock <- struct{}{}:
		default:
			return found, nil
		}
	} else {
		select {
		case s.lock <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("identity: wait for keys: %w", ctx.Err())
		}
	}
	defer func() { <-s.lock }()
	s.refresh(ctx, now)
	cached = s.current.Load()
	switch found = cached.match(keyID, algorithm, now); {
	case len(found) > 0:
		return found, nil
	case !cached.usable(now):
		return nil, unavailable(s.issuer, s.failure)
	default:
		return nil, errUnknownKey
	}
}

// usable reports that the keys are not too old to trust.
func (p *published) usable(now time.Time) bool {
	return p != nil && now.Sub(p.read) <= usableFor
}

// match returns the usable keys with this id and algorithm. A token without a
// kid is tried with the only key there is, and with none where there are more.
func (p *published) match(keyID, algorithm string, now time.Time) []crypto.PublicKey {
	if !p.usable(now) || keyID == "" && len(p.keys) != 1 {
		return nil
	}
	var found []crypto.PublicKey
	for _, k := range p.keys {
		if (keyID == "" || k.KeyID == keyID) && (k.Algorithm == "" || k.Algorithm == algorithm) {
			found = append(found, k.Key)
		}
	}
	return found
}

// refresh reads the keys anew, unless it tried a moment ago. The caller holds
// the lock.
func (s *keySet) refresh(ctx context.Context, now time.Time) {
	pause := askAgain
	if !s.current.Load().usable(now) {
		pause = afterFailure
	}
	if !s.asked.IsZero() && now.Sub(s.asked) < pause {
		return
	}
	keys, err := s.fetch(ctx)
	if err != nil && ctx.Err() != nil {
		s.failure = err // the caller went away: this says nothing about the issuer
		return
	}
	s.asked, s.failure = now, err
	if err == nil {
		s.current.Store(&published{keys: keys, read: now})
	}
}

func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	// NewProvider refuses a document that names another issuer.
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.issuer)
	if err != nil {
		return nil, errors.New("discovery: " + clip(err.Error())) // it quotes the whole answer
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil || document.Keys == "" {
		return nil, errors.New("discovery: no jwks_uri")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, document.Keys, nil)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys: %s", resp.Status)
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return parseKeys(raw)
}

// parseKeys reads a JWK set (RFC 7517) and leaves out what must not verify a
// token: symmetric and private keys, encryption keys, short RSA keys, and kinds
// that are not known.
func parseKeys(raw []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, k := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(k, &key); err == nil && usable(&key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("keys: none that can verify a token")
	}
	return keys, nil
}

func usable(k *jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" || !k.Valid() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default:
		return false
	}
}
