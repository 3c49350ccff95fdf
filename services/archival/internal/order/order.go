// Package order takes the batches of each chain strictly by number. It is told
// what is stored, gives out what may be stored next, and keeps what must wait
// for a missing number. It does no I/O and is used from one goroutine.
//
// A batch is given out at most once at a time, and acknowledged only after it
// was reported stored: a message delivered again while its batch is on its way
// is acknowledged with it.
package order

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/gatestay/gatestay/services/archival/internal/intake"
)

// Range is an inclusive range of numbers.
type Range struct{ From, To uint64 }

// Stored is what the store has of a chain.
type Stored struct {
	High uint64 // highest number stored
	Hash []byte // of that batch
	// Holes are the numbers below High that are not stored: passed because only
	// a batch that does not verify came under them, or because they had expired.
	Holes []Range
}

// Verdict is what becomes of an offered batch.
type Verdict int

// The verdicts.
const (
	Ready     Verdict = iota // given out, maybe with others that waited for it
	Waits                    // for a smaller number
	Stale                    // stored already: compare hashes, then acknowledge
	InFlight                 // the same batch is waiting or on its way: this delivery joins it
	Conflicts                // another batch with this number is waiting or on its way
)

// Gap is a chain that waits for missing numbers.
type Gap struct {
	Chain   intake.Chain
	Missing Range
	Since   time.Time
	Waiting int // batches
	// Nothing reports that nothing at all of this chain is stored.
	Nothing bool
}

// Sequencer orders chains.
type Sequencer struct {
	chains map[intake.Chain]*chain
	bytes  int // of all that waits
	count  int
}

type chain struct {
	stored  Stored
	given   uint64 // highest number given out
	last    []byte // hash of the batch given out last; nil where it is not known
	flight  map[uint64]*intake.Item
	waiting map[uint64]*intake.Item
	since   time.Time // the oldest waiting batch waits since; zero when none
	told    bool      // the gap has been told of
	used    time.Time
}

// New returns an empty Sequencer.
func New() *Sequencer { return &Sequencer{chains: map[intake.Chain]*chain{}} }

// Known reports whether Learn was called for the chain.
func (s *Sequencer) Known(c intake.Chain) bool { return s.chains[c] != nil }

// Learn sets what the store has of a chain. A chain is learnt once.
func (s *Sequencer) Learn(c intake.Chain, stored Stored) {
	if s.Known(c) {
		return
	}
	s.chains[c] = &chain{
		stored: stored, given: stored.High, last: stored.Hash,
		flight: map[uint64]*intake.Item{}, waiting: map[uint64]*intake.Item{},
	}
}

// Offer takes a batch of a known chain that takes its number in it. ready is
// to be stored in this order.
func (s *Sequencer) Offer(i *intake.Item, now time.Time) (ready []*intake.Item, v Verdict) {
	c, n := s.chains[i.Chain()], i.Batch.Number
	c.used = now
	for _, held := range []*intake.Item{c.flight[n], c.waiting[n]} {
		if held == nil {
			continue
		}
		if !bytes.Equal(held.Batch.Hash, i.Batch.Hash) {
			return nil, Conflicts
		}
		held.Join(i)
		return nil, InFlight
	}
	switch {
	case c.fills(n):
		c.flight[n] = i
		return []*intake.Item{i}, Ready
	case n <= c.given:
		return nil, Stale
	case n == c.given+1:
		return append(c.give(i), s.drain(c)...), Ready
	}
	if len(c.waiting) == 0 {
		c.since, c.told = now, false
	}
	c.waiting[n] = i
	s.bytes += i.Size
	s.count++
	return nil, Waits
}

// fills reports that n was passed and is still missing.
func (c *chain) fills(n uint64) bool {
	return slices.ContainsFunc(c.stored.Holes, func(r Range) bool { return r.From <= n && n <= r.To })
}

// give hands the next batch out.
func (c *chain) give(i *intake.Item) []*intake.Item {
	if c.last != nil && !bytes.Equal(i.Batch.PreviousHash, c.last) && i.Problem == "" {
		i.Problem = "it does not continue the batch before it: the hash that it names is another"
	}
	c.given, c.last = i.Batch.Number, i.Batch.Hash
	if i.Integrity == intake.Placeholder {
		c.last = nil // the batch behind it names the hash of the original
	}
	c.flight[c.given] = i
	return []*intake.Item{i}
}

// drain hands out what waited for the batch just given.
func (s *Sequencer) drain(c *chain) (ready []*intake.Item) {
	for {
		i := c.waiting[c.given+1]
		if i == nil {
			return ready
		}
		s.forget(c, i)
		ready = append(ready, c.give(i)...)
	}
}

func (s *Sequencer) forget(c *chain, i *intake.Item) {
	delete(c.waiting, i.Batch.Number)
	s.bytes -= i.Size
	s.count--
	c.told = false
	if len(c.waiting) == 0 {
		c.since = time.Time{}
	}
}

// Done reports a batch stored.
func (s *Sequencer) Done(i *intake.Item) {
	c, n := s.chains[i.Chain()], i.Batch.Number
	delete(c.flight, n)
	if c.fills(n) {
		c.stored.Holes = without(c.stored.Holes, n)
		return
	}
	c.stored.High = max(c.stored.High, n)
}

func without(ranges []Range, n uint64) (left []Range) {
	for _, r := range ranges {
		if n < r.From || n > r.To {
			left = append(left, r)
			continue
		}
		if r.From < n {
			left = append(left, Range{r.From, n - 1})
		}
		if n < r.To {
			left = append(left, Range{n + 1, r.To})
		}
	}
	return left
}

// Gaps returns the chains that have waited for longer than patience and have
// not been returned before.
func (s *Sequencer) Gaps(now time.Time, patience time.Duration) (gaps []Gap) {
	for name, c := range s.chains {
		if len(c.waiting) > 0 && !c.told && now.Sub(c.since) >= patience {
			c.told = true
			gaps = append(gaps, c.gap(name))
		}
	}
	return gaps
}

// Waiting returns all gaps, told or not.
func (s *Sequencer) Waiting() (gaps []Gap) {
	for name, c := range s.chains {
		if len(c.waiting) > 0 {
			gaps = append(gaps, c.gap(name))
		}
	}
	return gaps
}

func (c *chain) gap(name intake.Chain) Gap {
	first := slices.Min(slices.Collect(maps.Keys(c.waiting)))
	return Gap{Chain: name, Missing: Range{c.given + 1, first - 1}, Since: c.since, Waiting: len(c.waiting), Nothing: c.given == 0}
}

// Pass gives the missing numbers up: what waits behind them is handed out, and
// a batch that comes for one of them later still is. It is for numbers that
// are accounted for otherwise, never for those that are merely late.
func (s *Sequencer) Pass(g Gap, now time.Time) []*intake.Item {
	c := s.chains[g.Chain]
	c.stored.Holes = append(c.stored.Holes, g.Missing)
	c.given, c.last, c.used = g.Missing.To, nil, now
	ready := s.drain(c)
	if len(c.waiting) > 0 { // another gap, which begins now
		c.since, c.told = now, false
	}
	return ready
}

// Bytes and Count say how much waits.
func (s *Sequencer) Bytes() int { return s.bytes }

// Count says how many batches wait.
func (s *Sequencer) Count() int { return s.count }

// Shed takes out batches that wait, those with the highest numbers first, until
// at most limit bytes and most batches are left. They are to be given back to
// the stream, which delivers them again.
func (s *Sequencer) Shed(limit, most int) (shed []*intake.Item) {
	if s.bytes <= limit && s.count <= most {
		return nil
	}
	var all []*intake.Item
	for _, c := range s.chains {
		all = slices.AppendSeq(all, maps.Values(c.waiting))
	}
	slices.SortFunc(all, func(a, b *intake.Item) int { return int(b.Batch.Number) - int(a.Batch.Number) }) //nolint:gosec // order only
	for _, i := range all {
		if s.bytes <= limit && s.count <= most {
			break
		}
		c := s.chains[i.Chain()]
		since, told := c.since, c.told
		s.forget(c, i)
		if len(c.waiting) > 0 {
			c.since, c.told = since, told // it is the same gap
		}
		shed = append(shed, i)
	}
	return shed
}

// Held returns what waits or is on its way.
func (s *Sequencer) Held() (held []*intake.Item) {
	for _, c := range s.chains {
		held = slices.AppendSeq(held, maps.Values(c.waiting))
		held = slices.AppendSeq(held, maps.Values(c.flight))
	}
	return held
}

// Evict forgets chains that have been idle since before t. They are learnt anew
// from the store when they come back.
func (s *Sequencer) Evict(t time.Time) {
	for name, c := range s.chains {
		if len(c.waiting)+len(c.flight) == 0 && c.used.Before(t) {
			delete(s.chains, name)
		}
	}
}
