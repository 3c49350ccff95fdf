package event

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Sink makes one sealed batch durable: raw is what it is on the wire, and not
// kept. It returns only when the batch is. A batch whose Append failed is offered again,
// unchanged, before any later one.
type Sink interface {
	Append(ctx context.Context, b *eventv1.Batch, raw []byte) error
}

// ErrClosed is returned for records offered after Close.
var ErrClosed = errors.New("event: producer is closed")

// ErrUnsure is returned for records of a batch whose append failed: it may be
// stored, and is offered again before any later one. Do not offer them again.
var ErrUnsure = errors.New("event: batch may not be stored yet")

// ErrFull is returned when more bytes wait for durability than memory may hold.
var ErrFull = errors.New("event: too many records wait to become durable")

// The bounds of one batch: a message stays well below the bus's 1 MiB.
const (
	maxBatchRecords = 512
	maxBatchBytes   = 512 << 10
	maxWaitingBytes = 64 << 20
	retryPause      = 200 * time.Millisecond
	// linger is how long a record that nobody waits for may wait for company:
	// it then shares the sync to disk of the next record that somebody does.
	linger = 5 * time.Millisecond
	// A batch costs the same whether it holds one record or a hundred. When so
	// many were awaited in the last one, the next waits for company, for patience
	// at most. Few callers never wait.
	crowd    = 4
	patience = 1500 * time.Microsecond
)

// Producer numbers, chains and signs the records of one process life. One
// committer packs whatever waits, of all callers, into one batch and appends
// it synchronously; a lone record waits for no timer. Safe for concurrent use.
type Producer struct {
	name        string
	incarnation string
	key         *seal.Key
	sink        Sink

	mu      sync.Mutex
	waiting []*entry
	size    int       // bytes in waiting
	awaited int       // of them, somebody may wait for
	wanted  int       // awaited records that wake the committer
	due     time.Time // of the oldest that nobody waits for
	closed  bool
	wake    chan struct{}
	done    chan struct{}
	cancel  context.CancelFunc
}

type entry struct {
	record *eventv1.Record
	size   int
	urgent bool          // somebody may wait for it
	done   chan struct{} // closed when err is final
	err    error
}

// Pending is a record on its way to durability.
type Pending struct{ e *entry }

// Wait blocks until the record is durable, the append has failed, or ctx ends.
func (p Pending) Wait(ctx context.Context) error {
	select {
	case <-p.e.done:
		return p.e.err
	default:
	}
	select {
	case <-p.e.done:
		return p.e.err
	case <-ctx.Done():
		return fmt.Errorf("event: record not durable yet: %w", ctx.Err())
	}
}

// Durable is closed when Wait would not block.
func (p Pending) Durable() <-chan struct{} { return p.e.done }

// NewProducer starts the committer. name is "service/instance". Close ends it.
func NewProducer(name string, key *seal.Key, sink Sink) *Producer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Producer{
		name: name, incarnation: ulid.Make().String(), key: key, sink: sink,
		wanted: 1, wake: make(chan struct{}, 1), done: make(chan struct{}), cancel: cancel,
	}
	go p.run(ctx)
	return p
}

// Incarnation returns the id of this process life.
func (p *Producer) Incarnation() string { return p.incarnation }

// Offer queues a record and returns at once. The caller must not change the
// record afterwards, nor its principal. Records of one caller keep their order.
func (p *Producer) Offer(r *eventv1.Record) Pending { return p.offer(r, true) }

// Later is Offer for a record that nobody waits for: it may linger for a few
// milliseconds, to be packed with others.
func (p *Producer) Later(r *eventv1.Record) { _ = p.offer(r, false) }

func (p *Producer) offer(r *eventv1.Record, urgent bool) Pending {
	if r.Id == "" {
		r.Id = ulid.Make().String()
	}
	if r.Time == nil {
		r.Time = timestamppb.Now()
	}
	e := &entry{record: r, size: weight(r), urgent: urgent, done: make(chan struct{})}
	p.mu.Lock()
	if p.closed || p.size+e.size > maxWaitingBytes {
		e.err = ErrFull
		if p.closed {
			e.err = ErrClosed
		}
		p.mu.Unlock()
		close(e.done)
		return Pending{e}
	}
	first := len(p.waiting) == 0
	p.waiting = append(p.waiting, e)
	p.size += e.size
	switch {
	case urgent:
		if p.awaited++; p.awaited == p.wanted {
			p.poke()
		}
	case first:
		p.due = time.Now().Add(linger)
		time.AfterFunc(linger, p.poke)
	}
	p.mu.Unlock()
	return Pending{e}
}

func (p *Producer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Record offers a record and waits until it is durable.
func (p *Producer) Record(ctx context.Context, r *eventv1.Record) error {
	return p.Offer(r).Wait(ctx)
}

// Close stops accepting, waits until what was offered is durable or ctx ends,
// and stops the committer.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.poke()
	defer p.cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.cancel()
		<-p.done
		return fmt.Errorf("event: records not durable at close: %w", ctx.Err())
	}
}

func (p *Producer) run(ctx context.Context) {
	defer close(p.done)
	c := chain{producer: p, encoder: encoder{principals: map[*eventv1.Principal][]byte{}}}
	for {
		entries, closed := p.take()
		switch {
		case len(entries) > 0:
			err := c.append(ctx, entries)
			awaited := 0
			for _, e := range entries {
				if e.urgent {
					awaited++
				}
				e.err = err
				close(e.done)
			}
			if awaited >= crowd && !closed {
				p.gather(ctx, awaited)
			}
			continue
		case c.unsure != nil:
			_ = c.settle(ctx) // tried again below, after a pause
		case closed:
			return
		}
		var retry <-chan time.Time
		if c.unsure != nil {
			if closed && ctx.Err() != nil {
				return
			}
			retry = time.After(retryPause)
		}
		select {
		case <-p.wake:
		case <-retry:
		case <-ctx.Done():
			p.fail(ctx.Err())
			return
		}
	}
}

// gather waits until as many records are awaited as there are callers, for all
// that is known: those of the last batch, who are about to ask the next thing, and
// those who came meanwhile. It waits for patience at most.
func (p *Producer) gather(ctx context.Context, last int) {
	p.mu.Lock()
	crowd := min(last+p.awaited, maxBatchRecords)
	p.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	defer p.want(1)
	for p.want(crowd) {
		select {
		case <-p.wake:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// want sets how many awaited records wake the committer, and reports whether
// there are fewer.
func (p *Producer) want(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = n
	return p.awaited < n && !p.closed
}

// chain is the committer's place in the hash chain.
type chain struct {
	producer *Producer
	encoder  encoder
	number   uint64
	previous []byte
	// unsure is a batch whose append failed: it may or may not be stored, so
	// its number belongs to it, and it goes out unchanged before any other.
	unsure    *eventv1.Batch
	unsureRaw []byte
}

func (c *chain) settle(ctx context.Context) error {
	if c.unsure == nil {
		return nil
	}
	if err := c.producer.sink.Append(ctx, c.unsure, c.unsureRaw); err != nil {
		return fmt.Errorf("event: an earlier batch is not durable yet: %w", err)
	}
	c.unsure, c.unsureRaw = nil, nil
	return nil
}

func (c *chain) append(ctx context.Context, entries []*entry) error {
	if err := c.settle(ctx); err != nil {
		return err
	}
	b := &eventv1.Batch{
		Producer: c.producer.name, Incarnation: c.producer.incarnation, Number: c.number + 1, PreviousHash: c.previous,
		Records: make([]*eventv1.Record, len(entries)),
	}
	for i, e := range entries {
		b.Records[i] = e.record
	}
	raw, err := c.encoder.seal(b, c.producer.key)
	if err != nil {
		return err
	}
	c.number, c.previous = b.Number, b.Hash
	if err := c.producer.sink.Append(ctx, b, raw); err != nil {
		c.unsure, c.unsureRaw = b, bytes.Clone(raw)
		return fmt.Errorf("%w: %w", ErrUnsure, err)
	}
	return nil
}

// take removes as many waiting entries as fit one batch.
func (p *Producer) take() ([]*entry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.awaited == 0 && !p.closed && time.Now().Before(p.due) {
		return nil, false // its timer wakes the committer
	}
	n, size := 0, 0
	for n < len(p.waiting) && n < maxBatchRecords {
		if n > 0 && size+p.waiting[n].size > maxBatchBytes {
			break
		}
		size += p.waiting[n].size
		if p.waiting[n].urgent {
			p.awaited--
		}
		n++
	}
	entries := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	p.size -= size
	if len(p.waiting) == 0 {
		p.waiting = nil
	}
	return entries, p.closed
}

func (p *Producer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, e := range p.waiting {
		e.err = err
		close(e.done)
	}
	p.waiting, p.size, p.awaited = nil, 0, 0
}
