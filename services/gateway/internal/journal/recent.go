package journal

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// maxRecent bounds the bytes that are kept in memory for the forwarder.
const maxRecent = 4 << 20

// batch is a marshalled batch as it lies in the stream.
type batch struct {
	sequence   uint64
	attributes nats.Header
	raw        []byte
}

// recent are the batches appended last, of consecutive sequences. Every batch
// is on disk, too: what does not fit is dropped here.
type recent struct {
	added chan struct{} // holds one while there may be more

	mu      sync.Mutex
	batches []batch
	bytes   int
	last    uint64 // sequence in the stream
}

func newRecent(last uint64) *recent { return &recent{added: make(chan struct{}, 1), last: last} }

func (r *recent) put(b batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.sequence <= r.last {
		return // an append that was tried again
	}
	if b.sequence != r.last+1 {
		r.batches, r.bytes = nil, 0
	}
	r.last = b.sequence
	r.batches = append(r.batches, b)
	r.bytes += len(b.raw)
	for r.bytes > maxRecent {
		r.drop()
	}
	select {
	case r.added <- struct{}{}:
	default:
	}
}

// drop forgets the oldest. The caller holds mu.
func (r *recent) drop() {
	r.bytes -= len(r.batches[0].raw)
	r.batches[0] = batch{}
	r.batches = r.batches[1:]
}

// take returns the batch with this sequence, and forgets it and those before.
// stored says that the stream has it where memory does not.
func (r *recent) take(sequence uint64) (b batch, found, stored bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.batches) > 0 && r.batches[0].sequence < sequence {
		r.drop()
	}
	if len(r.batches) == 0 || r.batches[0].sequence != sequence {
		return batch{}, false, sequence <= r.last
	}
	b = r.batches[0]
	r.drop()
	return b, true, true
}
