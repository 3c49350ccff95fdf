package policy

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// maxSentences bounds how many principals' sentences are kept.
const maxSentences = 512

// sentences remembers what principals may do in words: a denial says it, and a
// client that is denied in a loop must not cost a hundred evaluations each time.
type sentences struct {
	mu   sync.Mutex
	held map[sentenceKey][]string
}

type sentenceKey struct {
	principal string // its deterministic bytes
	target    Target
}

// allowed returns what the principal may do on the target, in words.
func (e *Engine) allowed(p *eventv1.Principal, t Target) []string {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return e.can(p, t, time.Time{}).Sentences
	}
	key := sentenceKey{string(raw), t}
	e.sentences.mu.Lock()
	have, ok := e.sentences.held[key]
	e.sentences.mu.Unlock()
	if !ok {
		have = e.can(p, t, time.Time{}).Sentences
		e.sentences.mu.Lock()
		if e.sentences.held == nil || len(e.sentences.held) >= maxSentences {
			e.sentences.held = map[sentenceKey][]string{}
		}
		e.sentences.held[key] = have
		e.sentences.mu.Unlock()
	}
	return slices.Clone(have)
}
